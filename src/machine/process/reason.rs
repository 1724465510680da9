//! Why a unit did not start, or how it ended, in systemd's own words.

use super::exit::Exit;
use super::program::tool;
use super::units;
use crate::error::Error;
use crate::machine::now;
use crate::secret::{ForeignText, Message};

/// systemd's own reason why a unit did not start, or how it ended: one line, without the unit's name.
pub async fn reason(unit: &str, since: u64) -> Option<ForeignText> {
    // SD_MESSAGE_SPAWN_FAILED: said on the way to the unit's program, by then perhaps as the unit's user.
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
    let said = tool(&line, 10).await.ok()?.text();
    telling(&said).map(ForeignText::line)
}

/// What failed on the way to the program says most; then what failed at all; then how it ended.
fn telling(said: &str) -> Option<&str> {
    const BY_WORTH: [&str; 4] = ["Failed at step", "Failed to ", "Main process exited", "Failed with result"];
    let lines =
        || said.lines().map(|line| line.split_once(".service: ").map_or(line, |(_, words)| words).trim());
    BY_WORTH.iter().find_map(|words| lines().rev().find(|line| line.starts_with(words)))
}

/// A unit that ended before its program began, as systemd.exec(5) numbers the steps to it.
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

/// For a unit that systemd could not bring as far as its program.
pub const REMEDY: &str = "systemd could not prepare the unit: look at the directory, mount or user that it names, and at journalctl -b -p err";

/// Why a unit of ours ended before its program began, if it did: systemd's own words, or at least the step.
pub fn of_the_unit(status: Option<i32>, said: &str) -> Option<Message> {
    let status = status?;
    let step = step_before_start(&status.to_string())?;
    Some(match telling(said).filter(|line| line.starts_with("Failed")) {
        Some(line) => Message::from("systemd says: ").and(ForeignText::line(line)),
        None => format!("systemd could not start the unit: step {step} failed (status {status})").into(),
    })
}

/// A unit that does not come as far as its program says nothing itself: systemd's own words are the cause.
pub async fn explained(error: Error, unit: &str) -> Error {
    const LATELY: u64 = 60;
    let exit = units::state(unit).await.ok().and_then(|state| state.exit);
    match step_of(exit) {
        Some(_) => match reason(unit, now().saturating_sub(LATELY)).await {
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
    fn what_failed_on_the_way_to_the_program_says_most() {
        let said = "Starting x.service...\n\
            x.service: Failed to set up special execution directory in /var/cache: Read-only file system\n\
            x.service: Failed at step CACHE_DIRECTORY spawning /usr/local/bin/bootagent: Read-only file system\n\
            x.service: Main process exited, code=exited, status=239/CACHE_DIRECTORY\n\
            x.service: Failed with result 'exit-code'.\n";
        let step = "Failed at step CACHE_DIRECTORY spawning /usr/local/bin/bootagent: Read-only file system";
        assert_eq!(telling(said), Some(step));
        let without = said.replace("Failed at step", "At step");
        assert!(telling(&without).unwrap().starts_with("Failed to set up special"));
    }

    #[test]
    fn how_it_ended_is_told_where_nothing_failed_before() {
        let said = "x.service: Main process exited, code=killed, status=9/KILL\nx.service: Failed with result 'signal'.\n";
        assert_eq!(telling(said), Some("Main process exited, code=killed, status=9/KILL"));
        assert_eq!(telling("Started x.service.\n"), None);
        assert_eq!(telling(""), None);
    }

    #[test]
    fn a_unit_of_ours_that_systemd_could_not_start_is_told_by_its_words_or_its_step() {
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
