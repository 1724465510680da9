//! Why a unit did not start or how it ended, from systemd's messages in the journal. Reads only.

use std::time::Duration;

use tokio::time::sleep;

use super::exit::Exit;
use super::program::tool;
use super::units;
use crate::error::Error;
use crate::machine::now;
use crate::secret::{ForeignText, Message};

/// The line of systemd since `since` (seconds since 1970) that best explains why a unit did not start or how it ended,
/// without the unit's name.
pub async fn reason(unit: &str, since: u64) -> Option<ForeignText> {
    // SD_MESSAGE_SPAWN_FAILED: logged between fork and exec, so perhaps already as the unit's user and not as PID 1.
    const NOT_SPAWNED: &str = "MESSAGE_ID=641257651c1b4ec9a8624d7a40a9e1e7";
    let (of, since) = (format!("UNIT={unit}"), format!("--since=@{since}"));
    let line = [
        "journalctl",
        "--quiet",
        "--no-pager",
        "--output=cat",
        "--lines=40",
        &since,
        "_PID=1",
        &of,
        "+",
        NOT_SPAWNED,
        &of,
    ];
    for pause in [None, Some(Duration::from_millis(250))] {
        // journald writes a moment after systemd knows.
        if let Some(pause) = pause {
            sleep(pause).await;
        }
        let messages = tool(&line, 10).await.ok()?.text();
        if let Some(found) = best_line(&messages) {
            return Some(ForeignText::line(found));
        }
    }
    None
}

/// The most specific line: the step that failed before exec, else any failure, else how the process ended.
fn best_line(messages: &str) -> Option<&str> {
    const MOST_SPECIFIC_FIRST: [&str; 4] =
        ["Failed at step", "Failed to ", "Main process exited", "Failed with result"];
    let lines =
        || messages.lines().map(|line| line.split_once(".service: ").map_or(line, |(_, text)| text).trim());
    MOST_SPECIFIC_FIRST.iter().find_map(|start| lines().rev().find(|line| line.starts_with(start)))
}

/// The step before exec at which systemd failed, if `status` is one of systemd's own exit statuses (systemd.exec(5)).
pub fn step_before_start(status: &str) -> Option<&'static str> {
    let step = match status.parse().ok()? {
        200 => "CHDIR",
        203 => "EXEC",
        209 => "STDOUT",
        216 => "GROUP",
        217 => "USER",
        218 => "CAPABILITIES",
        219 => "CGROUP",
        226 => "NAMESPACE",
        227 => "NO_NEW_PRIVILEGES",
        228 => "SECCOMP",
        233 => "RUNTIME_DIRECTORY",
        238 => "STATE_DIRECTORY",
        239 => "CACHE_DIRECTORY",
        240 => "LOGS_DIRECTORY",
        243 => "CREDENTIALS",
        _ => return None,
    };
    Some(step)
}

pub fn step_of(exit: Option<Exit>) -> Option<&'static str> {
    match exit? {
        Exit::Status(status) => step_before_start(&status.to_string()),
        Exit::Signal(_) => None,
    }
}

/// For a unit that failed before systemd could execute its program.
pub const REMEDY: &str = "systemd could not prepare the unit: look at the directory, mount or user that it names, and at journalctl -b -p err";

/// Why a transient unit failed before its program was executed, if it did: systemd's message, else the step's name.
/// `systemd_lines` are systemd's messages about the unit.
pub fn of_the_unit(status: Option<i32>, systemd_lines: &str) -> Option<Message> {
    let status = status?;
    let step = step_before_start(&status.to_string())?;
    Some(match best_line(systemd_lines).filter(|line| line.starts_with("Failed")) {
        Some(line) => Message::from("systemd says: ").and(ForeignText::line(line)),
        None => format!("systemd could not start the unit: step {step} failed (status {status})").into(),
    })
}

/// Adds systemd's message to the error if the unit failed before its program was executed: then the program itself
/// has logged nothing.
pub async fn explained(error: Error, unit: &str) -> Error {
    /// Seconds: long enough for a start, short enough not to find an earlier one.
    const RECENT: u64 = 60;
    let exit = units::state(unit).await.ok().and_then(|state| state.exit);
    match step_of(exit) {
        Some(_) => match reason(unit, now().saturating_sub(RECENT)).await {
            Some(reason) => error.because(Message::from("systemd says: ").and(reason)),
            None => error,
        },
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_failed_before_exec_is_preferred() {
        let said = "Starting x.service...\n\
            x.service: Failed to set up special execution directory in /var/cache: Read-only file system\n\
            x.service: Failed at step CACHE_DIRECTORY spawning /usr/local/bin/bootagent: Read-only file system\n\
            x.service: Main process exited, code=exited, status=239/CACHE_DIRECTORY\n\
            x.service: Failed with result 'exit-code'.\n";
        let step = "Failed at step CACHE_DIRECTORY spawning /usr/local/bin/bootagent: Read-only file system";
        assert_eq!(best_line(said), Some(step));
        let without = said.replace("Failed at step", "At step");
        assert!(best_line(&without).unwrap().starts_with("Failed to set up special"));
    }

    #[test]
    fn without_a_failed_step_the_line_says_how_the_process_ended() {
        let said = "x.service: Main process exited, code=killed, status=9/KILL\nx.service: Failed with result 'signal'.\n";
        assert_eq!(best_line(said), Some("Main process exited, code=killed, status=9/KILL"));
        assert_eq!(best_line("Started x.service.\n"), None);
        assert_eq!(best_line(""), None);
    }

    #[test]
    fn a_unit_that_systemd_could_not_start_is_explained_by_its_message_or_the_step() {
        let cause = |status, said| of_the_unit(status, said).map(|cause| cause.shown(&Default::default()));
        let said =
            "bootagent-fetch.service: Failed at step CACHE_DIRECTORY spawning /x: Read-only file system\n";
        assert_eq!(
            cause(Some(239), said).unwrap(),
            "systemd says: Failed at step CACHE_DIRECTORY spawning /x: Read-only file system"
        );
        assert!(cause(Some(239), "").unwrap().contains("step CACHE_DIRECTORY failed (status 239)"));
        for status in [Some(1), Some(137), None] {
            assert_eq!(cause(status, said), None);
        }
    }

    #[test]
    fn only_systemd_s_own_numbers_are_steps() {
        assert_eq!(step_before_start("239"), Some("CACHE_DIRECTORY"));
        for status in ["0", "1", "137", "189", "199", ""] {
            assert_eq!(step_before_start(status), None, "{status}");
        }
    }
}
