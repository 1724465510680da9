//! The table `[limits]`: what the units of a service may use at most, and how many of them a manifest may ask for.

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::plan::{Limits, Memory, Setting};

/// Each is none if the policy does not bound it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsAllowed {
    pub memory: Option<Memory>,
    pub open_files: Option<u32>,
    pub tasks: Option<u16>,
    /// Units of processes: each instance counts.
    pub processes: Option<u16>,
    pub timers: Option<u16>,
    /// Of one process, or of PM2.
    pub instances: Option<u16>,
}

impl LimitsAllowed {
    pub fn is_empty(&self) -> bool {
        *self == LimitsAllowed::default()
    }

    pub fn over(self, under: LimitsAllowed) -> LimitsAllowed {
        LimitsAllowed {
            memory: self.memory.or(under.memory),
            open_files: self.open_files.or(under.open_files),
            tasks: self.tasks.or(under.tasks),
            processes: self.processes.or(under.processes),
            timers: self.timers.or(under.timers),
            instances: self.instances.or(under.instances),
        }
    }

    /// With fewer files or tasks than these, no service starts.
    pub fn check(&self) -> Result<(), String> {
        if self.open_files.is_some_and(|most| most < 64) {
            return Err("limits.open_files is below 64".to_owned());
        }
        if self.tasks.is_some_and(|most| most < 16) {
            return Err("limits.tasks is below 16".to_owned());
        }
        match self.instances {
            Some(0) => Err("limits.instances is 0: expected at least 1".to_owned()),
            _ => Ok(()),
        }
    }

    /// Those of each unit.
    pub fn of_a_unit(&self) -> Limits {
        Limits { memory: self.memory.clone(), open_files: self.open_files, tasks: self.tasks }
    }
}

impl Policy {
    /// The table's values, key by key from the uppermost layer that has it, and the settings.
    pub fn limits(&self) -> (LimitsAllowed, Vec<Setting>) {
        let memory = self.uppermost(|fragment| fragment.limits.memory.clone());
        let open_files = self.uppermost(|fragment| fragment.limits.open_files);
        let number =
            |read: fn(&LimitsAllowed) -> Option<u16>| self.uppermost(|fragment| read(&fragment.limits));
        let numbers = [
            ("limits.tasks", number(|limits| limits.tasks)),
            ("limits.processes", number(|limits| limits.processes)),
            ("limits.timers", number(|limits| limits.timers)),
            ("limits.instances", number(|limits| limits.instances)),
        ];
        let memory_setting = memory.as_ref().map(|found| found.setting("limits.memory"));
        let files_setting = open_files.as_ref().map(|found| found.setting("limits.open_files"));
        let settings = numbers.iter().filter_map(|(key, found)| Some(found.as_ref()?.setting(key)));
        let settings = memory_setting.into_iter().chain(files_setting).chain(settings).collect();
        let [tasks, processes, timers, instances] = numbers.map(|(_, found)| found.map(|found| found.value));
        let memory = memory.map(|found| found.value);
        let open_files = open_files.map(|found| found.value);
        (LimitsAllowed { memory, open_files, tasks, processes, timers, instances }, settings)
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::policy::fragment::parse;

    fn checked(line: &str) -> Result<(), String> {
        let fragment = parse("p", &format!("[limits]\n{line}")).map_err(|error| error.to_string())?;
        fragment.check("p").map_err(|error| error.to_string())
    }

    #[test]
    fn bounds_that_a_service_can_run_with_are_read() {
        assert_eq!(
            checked("memory = \"1G\"\nopen_files = 1024\ntasks = 512\nprocesses = 0\ntimers = 0"),
            Ok(())
        );
        assert_eq!(checked("instances = 4"), Ok(()));
        for (line, says) in [
            ("memory = 400", "expected a string in quotes"),
            ("memory = \"1M\"", "at least 16M"),
            ("memory = \"much\"", "an amount like"),
            ("open_files = 8", "limits.open_files is below 64"),
            ("tasks = 1", "limits.tasks is below 16"),
            ("instances = 0", "limits.instances is 0"),
            ("timers = -1", "and not -1"),
            ("cpu = 1", "unknown key"),
        ] {
            let error = checked(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
