//! How a unit's main process ended.

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Status(i32),
    Signal(i32),
}

impl Exit {
    /// As systemd tells it: `ExecMainCode` is the kernel's, 1 for an exit, 2 and 3 for a signal.
    pub fn of(code: &str, status: &str) -> Option<Exit> {
        let number = status.parse().ok()?;
        match code {
            "1" | "exited" => Some(Exit::Status(number)),
            "2" | "3" | "killed" | "dumped" => Some(Exit::Signal(number)),
            _ => None,
        }
    }

    /// The last in systemd's own lines, `Main process exited, code=killed, status=9/KILL`.
    pub fn last_in(words: &str) -> Option<Exit> {
        words.lines().rev().find_map(|line| {
            let (code, status) = line.split_once("Main process exited, code=")?.1.split_once(", status=")?;
            Exit::of(code, status.split('/').next()?)
        })
    }

    pub fn words(self) -> String {
        match self {
            Exit::Status(status) => format!("with status {status}"),
            Exit::Signal(number) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => format!("by {signal}"),
                Err(_) => format!("by signal {number}"),
            },
        }
    }
}

pub const KILL: Exit = Exit::Signal(9);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_by_status_or_signal() {
        assert_eq!(Exit::of("1", "3").unwrap().words(), "with status 3");
        assert_eq!(Exit::of("2", "9").unwrap().words(), "by SIGKILL");
        assert_eq!(Exit::of("3", "6").unwrap().words(), "by SIGABRT");
        assert_eq!(Exit::of("0", "0"), None, "it has not ended");
        assert_eq!(Exit::of("1", ""), None);
    }

    #[test]
    fn the_last_end_in_systemds_lines_counts() {
        let lines = "x.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED\n\
            x.service: Failed with result 'exit-code'.\n\
            x.service: Main process exited, code=killed, status=9/KILL\nx.service: Scheduled restart job\n";
        assert_eq!(Exit::last_in(lines), Some(KILL));
        assert_eq!(Exit::last_in("Started x.service."), None);
    }
}
