//! Parses the tables `[limits]`, `[processes.NAME.limits]` and `[timers.NAME.limits]` of a manifest: what a unit may use at most.

use super::spanned::{Item, Read, shown};
use crate::plan::{AN_AMOUNT, Limits, Memory};

const KEYS: &[&str] = &["memory", "open_files", "tasks"];

pub(super) fn read(item: &Item<'_>, root_keys: &[&str]) -> Read<Limits> {
    let (section, mut limits) = (item.table()?, Limits::default());
    for (key, at, item) in section.entries() {
        match key {
            "memory" => limits.memory = Some(memory(&item)?),
            "open_files" => {
                limits.open_files = Some(item.large_number(64..=1_048_576, "a number from 64 to 1048576")?)
            }
            "tasks" => limits.tasks = Some(item.number(16..=32_768, "a number from 16 to 32768")?),
            _ => return Err(section.unknown(key, at, KEYS, root_keys)),
        }
    }
    Ok(limits)
}

fn memory(item: &Item<'_>) -> Read<Memory> {
    let text = item.string(AN_AMOUNT)?;
    Memory::parse(text).ok_or_else(|| item.fault(format!("is {}; expected {AN_AMOUNT}", shown(text))))
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;

    #[test]
    fn limits_are_read_and_an_overlay_replaces_each_of_them() {
        let text = "[limits]\nmemory = \"400M\"\ntasks = 64\n[environments.test.limits]\nmemory = \"2G\"\nopen_files = 1024\n";
        let environment = "test".try_into().unwrap();
        let manifest = Manifest::parse("bootagent.toml", text, Some(&environment), &[]).unwrap();
        assert_eq!(manifest.limits.directives(), ["MemoryMax=2G", "LimitNOFILE=1024", "TasksMax=64"]);
    }

    #[test]
    fn invalid_limits_are_refused() {
        for (line, says) in [
            ("memory = 400", "limits.memory is an integer"),
            ("memory = \"400\"", "an amount like"),
            ("memory = \"1M\"", "at least 16M"),
            ("memory = \"M\"", "an amount like"),
            ("memory = \"infinity\"", "an amount like"),
            ("memory = \"40é\"", "an amount like"),
            ("open_files = 8", "from 64 to 1048576"),
            ("tasks = 40000", "from 16 to 32768"),
            ("cpu = 1", "known here: memory, open_files, tasks"),
        ] {
            let text = format!("[limits]\n{line}");
            let error = Manifest::parse("bootagent.toml", &text, None, &[]).unwrap_err().to_string();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
