//! The limits of a container: the smaller one of the compose file's and the policy's. Pure.

use serde_json::{Map, Value};

use crate::plan::{Limits, TASKS};
use crate::planner::runtime::compose::amount;

/// Bounds what the container's keys say, and adds the limits that every container has.
pub fn limit(most: &Limits, all: &mut Map<String, Value>) {
    if let Some(memory) = &most.memory {
        let most = memory.bytes().unwrap_or_default();
        let is_more = |key: &str| bytes(all, key).is_none_or(|own| own > most);
        let (limit, reservation) = (is_more("mem_limit"), is_more("mem_reservation"));
        let text = Value::from(memory.to_string().to_lowercase());
        // Docker starts no container whose reservation is above its limit.
        if limit && reservation && all.contains_key("mem_reservation") {
            all.insert("mem_reservation".to_owned(), text.clone());
        }
        if limit {
            all.insert("mem_limit".to_owned(), text);
        }
    }
    let tasks = all.get("pids_limit").and_then(Value::as_u64);
    let most_tasks = most.tasks.map(u64::from);
    let tasks = smaller(Some(tasks.unwrap_or(TASKS.into())), most_tasks);
    all.insert("pids_limit".to_owned(), tasks.into());
    let mut bounds = all.get("ulimits").and_then(Value::as_object).cloned().unwrap_or_default();
    bounds.insert("core".to_owned(), 0.into());
    if let Some(most) = most.open_files {
        let own = bounds.remove("nofile");
        bounds.insert("nofile".to_owned(), files(own, most.into()));
    }
    all.insert("ulimits".to_owned(), Value::Object(bounds));
}

fn bytes(all: &Map<String, Value>, key: &str) -> Option<u64> {
    amount::bytes(all.get(key)?.as_str()?)
}

fn smaller(own: Option<u64>, most: Option<u64>) -> Option<u64> {
    own.into_iter().chain(most).min()
}

/// A number, or a soft and a hard one.
fn files(own: Option<Value>, most: u64) -> Value {
    match own {
        Some(Value::Object(both)) => {
            let bounded = |value: Value| Value::from(smaller(value.as_u64(), Some(most)));
            Value::Object(both.into_iter().map(|(key, value)| (key, bounded(value))).collect())
        }
        own => smaller(own.as_ref().and_then(Value::as_u64), Some(most)).into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::Memory;

    fn limited(most: &Limits, own: Value) -> Value {
        let Value::Object(mut all) = own else { panic!("{own}") };
        limit(most, &mut all);
        Value::Object(all)
    }

    #[test]
    fn the_smaller_limit_wins() {
        let most = Limits { memory: Memory::parse("512M"), open_files: Some(2048), tasks: Some(100) };
        let policy = |memory: &str, tasks: u64, files: Value| json!({ "mem_limit": memory, "pids_limit": tasks, "ulimits": { "core": 0, "nofile": files } });
        for (own, given) in [
            (json!({}), policy("512m", 100, json!(2048))),
            (json!({ "mem_limit": "256mb", "pids_limit": 20 }), policy("256mb", 20, json!(2048))),
            (json!({ "mem_limit": "268435456" }), policy("268435456", 100, json!(2048))),
            (json!({ "mem_limit": "1.5GiB", "pids_limit": 20000 }), policy("512m", 100, json!(2048))),
            (json!({ "ulimits": { "nofile": 1024 } }), policy("512m", 100, json!(1024))),
            (json!({ "ulimits": { "nofile": 4096 } }), policy("512m", 100, json!(2048))),
            (
                json!({ "ulimits": { "nofile": { "soft": 1024, "hard": 9999 } } }),
                policy("512m", 100, json!({ "soft": 1024, "hard": 2048 })),
            ),
        ] {
            let shown = own.to_string();
            assert_eq!(limited(&most, own), given, "{shown}");
        }
        let reserved = limited(&most, json!({ "mem_reservation": "1g", "mem_limit": "2g" }));
        assert_eq!((&reserved["mem_reservation"], &reserved["mem_limit"]), (&json!("512m"), &json!("512m")));
    }

    #[test]
    fn without_a_policy_only_tasks_and_core_dumps_are_bounded() {
        let none = Limits::default();
        assert_eq!(limited(&none, json!({})), json!({ "pids_limit": 4096, "ulimits": { "core": 0 } }));
        let own = json!({ "mem_limit": "64m", "pids_limit": 9000, "ulimits": { "nofile": 70000 } });
        let given =
            json!({ "mem_limit": "64m", "pids_limit": 9000, "ulimits": { "nofile": 70000, "core": 0 } });
        assert_eq!(limited(&none, own), given);
    }
}
