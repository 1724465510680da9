//! How a process ended.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Status(i32),
    Signal(i32),
}

impl Exit {
    /// From systemd's `ExecMainCode` (1 for an exit, 2 and 3 for a signal, as in waitid(2)) and `ExecMainStatus`, or
    /// from the words for them in the journal. `None` if the process has not ended.
    pub fn of(code: &str, status: &str) -> Option<Exit> {
        let number = status.parse().ok()?;
        match code {
            "1" | "exited" => Some(Exit::Status(number)),
            "2" | "3" | "killed" | "dumped" => Some(Exit::Signal(number)),
            _ => None,
        }
    }

    /// The last exit in systemd's journal lines: `Main process exited, code=killed, status=9/KILL`.
    pub fn last_in(journal: &str) -> Option<Exit> {
        journal.lines().rev().find_map(|line| {
            let (code, status) = line.split_once("Main process exited, code=")?.1.split_once(", status=")?;
            Exit::of(code, status.split('/').next()?)
        })
    }

    /// To follow "ended": `with status 3`, `by SIGKILL`.
    pub fn describe(self) -> String {
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

/// The exit status of a `bootagent __child` that could reach IMDS: a number that programs do not commonly use.
pub const IMDS_ANSWERS: i32 = 189;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_has_a_status_or_a_signal() {
        assert_eq!(Exit::of("1", "3").unwrap().describe(), "with status 3");
        assert_eq!(Exit::of("2", "9").unwrap().describe(), "by SIGKILL");
        assert_eq!(Exit::of("3", "6").unwrap().describe(), "by SIGABRT");
        assert_eq!(Exit::of("0", "0"), None, "it has not ended");
        assert_eq!(Exit::of("1", ""), None);
    }

    #[test]
    fn the_last_exit_in_the_journal_counts() {
        let lines = "x.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED\n\
            x.service: Failed with result 'exit-code'.\n\
            x.service: Main process exited, code=killed, status=9/KILL\nx.service: Scheduled restart job\n";
        assert_eq!(Exit::last_in(lines), Some(KILL));
        assert_eq!(Exit::last_in("Started x.service."), None);
    }
}
