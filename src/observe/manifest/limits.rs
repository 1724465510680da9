//! Parses the table `[limits]` of a manifest: what the service's unit may use at most.

use super::spanned::{Item, Read, shown};

const KEYS: &[&str] = &["memory", "open_files", "tasks"];
const AN_AMOUNT: &str = "an amount like \"400M\" or \"2G\"";
/// With less, no runtime starts.
const LEAST_MEMORY: u64 = 16 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In systemd's notation: `400M`.
    pub memory: Option<String>,
    pub open_files: Option<u32>,
    pub tasks: Option<u16>,
}

impl Limits {
    pub(super) fn read(item: &Item<'_>, root_keys: &[&str]) -> Read<Limits> {
        let (section, mut limits) = (item.table()?, Limits::default());
        for (key, at, item) in section.entries() {
            match key {
                "memory" => limits.memory = Some(memory(&item)?),
                "open_files" => {
                    limits.open_files =
                        Some(item.large_number(64..=1_048_576, "a number from 64 to 1048576")?)
                }
                "tasks" => limits.tasks = Some(item.number(16..=32_768, "a number from 16 to 32768")?),
                _ => return Err(section.unknown(key, at, KEYS, root_keys)),
            }
        }
        Ok(limits)
    }

    /// This layer with the overlay `over`.
    pub(super) fn under(self, over: Limits) -> Limits {
        Limits {
            memory: over.memory.or(self.memory),
            open_files: over.open_files.or(self.open_files),
            tasks: over.tasks.or(self.tasks),
        }
    }

    /// `memory 400M, open files 1024`; empty without limits.
    pub fn shown(&self) -> String {
        let memory = self.memory.iter().map(|most| format!("memory {most}"));
        let files = self.open_files.iter().map(|most| format!("open files {most}"));
        let tasks = self.tasks.iter().map(|most| format!("tasks {most}"));
        memory.chain(files).chain(tasks).collect::<Vec<_>>().join(", ")
    }

    /// The directives of the unit that they replace or add.
    pub fn directives(&self) -> Vec<String> {
        let memory = self.memory.iter().map(|most| format!("MemoryMax={most}"));
        let files = self.open_files.iter().map(|most| format!("LimitNOFILE={most}"));
        let tasks = self.tasks.iter().map(|most| format!("TasksMax={most}"));
        memory.chain(files).chain(tasks).collect()
    }
}

fn memory(item: &Item<'_>) -> Read<String> {
    let text = item.string(AN_AMOUNT)?;
    let unit = match text.bytes().last() {
        Some(b'M') => 1 << 20,
        Some(b'G') => 1 << 30,
        _ => 0,
    };
    let digits = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    let is_number =
        !digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let bytes = digits.parse::<u64>().ok().filter(|_| is_number).map(|number| number * unit);
    match bytes {
        Some(bytes) if bytes >= LEAST_MEMORY => Ok(text.to_owned()),
        _ => Err(item.fault(format!("is {}; expected {AN_AMOUNT}, at least 16M", shown(text)))),
    }
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
