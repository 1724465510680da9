//! Why a service ended, judged by systemd's messages, the kernel's counter of OOM kills, the service's last lines and
//! the process that listens on its port. The service's own lines may only choose the error's code and text.

use super::own_port;
use super::workers::Workers;
use crate::error::{Code, Error};
use crate::fault::Fault;
use crate::machine::now;
use crate::machine::process::exit::{Exit, KILL};
use crate::machine::process::units::UnitState;
use crate::machine::process::{journal, memory, sockets};
use crate::plan::HealthWait;
use crate::secret::ForeignText;

/// What the health check observed of a unit since it began to wait.
pub struct Seen {
    /// Seconds since 1970.
    since: u64,
    /// The kernel's counter at the beginning.
    oom_kills: Option<u64>,
    pub invocations: Vec<String>,
    /// Other units of the deployment that ended.
    pub units_beside: Vec<String>,
    /// The last exit that was observed: systemd forgets it when it starts the next process.
    pub exit: Option<Exit>,
    result: String,
    /// Of a main process that lives, while the service is not healthy.
    pub workers: Workers,
}

impl Seen {
    pub fn from_now_on() -> Seen {
        // `journalctl --since` takes whole seconds, and must include the current one.
        let since = now().saturating_sub(1);
        Seen {
            since,
            oom_kills: memory::oom_kills(),
            invocations: Vec::new(),
            units_beside: Vec::new(),
            exit: None,
            result: String::new(),
            workers: Workers::default(),
        }
    }

    pub fn check(&mut self, state: &UnitState) {
        if self.invocations.last() != Some(&state.invocation) {
            self.invocations.push(state.invocation.clone());
        }
        if state.main_pid == 0 {
            self.exit = state.exit.or(self.exit);
            self.result = state.result.clone();
        }
    }
}

/// The error for a unit that is down, or that was restarted too often, or whose workers were.
pub fn ended(wait: &HealthWait, state: &UnitState, restarts: u32, seen: &Seen) -> Error {
    let gate = &wait.gate;
    let last = seen.exit.map(|exit| format!(", last {}", exit.describe())).unwrap_or_default();
    let cause = match state.active.as_str() {
        "failed" => match state.exit {
            Some(exit) => format!("the unit failed ({}), it ended {}", state.result, exit.describe()),
            None => format!("the unit failed ({})", state.result),
        },
        "inactive" => "it ended, and systemd does not restart it".to_owned(),
        _ => match seen.workers.ended() {
            0 => format!("it ended {restarts} times{last}"),
            workers => format!(
                "its workers ended {workers} times: the main process, pid {}, replaces each of them",
                state.main_pid
            ),
        },
    };
    let remedy = with_an_error(wait);
    Fault::ServiceExited.error(format!("waiting until {} is healthy", gate.unit), cause).remedy(remedy)
}

/// The error with the service's last lines. If the cause is known, it becomes another error: out of memory, or a port
/// that another process has.
pub async fn explained(wait: &HealthWait, error: Error, seen: &Seen) -> Error {
    let gate = &wait.gate;
    let mut lines = journal::last_lines(&seen.invocations).await;
    lines.extend(journal::lines_of(&seen.units_beside, seen.since).await);
    let is_exit = matches!(error.code(), Code::ServiceExited | Code::HealthFlapping);
    let error = if is_exit { cause(wait, error, seen, &lines).await } else { error };
    let error = match journal::dropped(&gate.unit, seen.since).await {
        0 => error,
        count => error.because(format!(
            "journald dropped {count} lines of the service, perhaps with the reason: it logs more than \
             LogRateLimitBurst= in journald.conf allows"
        )),
    };
    error.saying(lines)
}

async fn cause(wait: &HealthWait, error: Error, seen: &Seen, lines: &[ForeignText]) -> Error {
    let gate = &wait.gate;
    let systemd = journal::systemd_messages(&gate.unit, seen.since).await;
    let exit = seen.exit.or_else(|| Exit::last_in(&systemd));
    let doing = || format!("waiting until {} is healthy", gate.unit);
    let kills = memory::oom_kills().zip(seen.oom_kills).map_or(0, |(now, before)| now.saturating_sub(before));
    if let Some(why) = out_of_memory(&format!("{systemd}\n{}", seen.result), exit, kills, lines) {
        let cause = error.cause().and(format!(": {}", memory::with_state(why)));
        return Fault::ServiceOutOfMemory.error(doing(), cause).remedy(
            "take an instance type with more memory, add swap, or let the service use less (for Node: \
             --max-old-space-size)",
        );
    }
    if let Some(port) = gate.probe.port().filter(|_| lines.iter().any(|line| line.judge(is_address_in_use))) {
        let foreign = sockets::listeners(port, "").foreign;
        if let Some(holder) = foreign.first() {
            let bad = own_port::held(port, Some(holder));
            let error = bad.fault.error(doing(), bad.cause.and("; ").and(error.cause()));
            return bad.remedy.into_iter().fold(error, Error::remedy);
        }
    }
    let error = match exit {
        Some(Exit::Status(0)) => error.remedy(without_an_error(wait)),
        _ => error,
    };
    // The error of a service that flaps says what the last probe found, and not how the service ended.
    match exit.filter(|_| seen.exit.is_none() || error.code() == Code::HealthFlapping) {
        Some(exit) => error.because(format!("it ended {}", exit.describe())),
        None => error,
    }
}

/// What the repository's example of a `.env` names and the service does not get: with one of the variables missing, most
/// services exit at once.
fn unset(wait: &HealthWait) -> Option<String> {
    let unset = wait.unset.as_ref()?;
    Some(format!(
        "Of the variables that {} names it does not get {}: add what it needs to its secret",
        unset.file,
        unset.shown()
    ))
}

fn with_an_error(wait: &HealthWait) -> String {
    let last_lines = format!("the service exits: journalctl -u {} has its last lines", wait.gate.unit);
    match unset(wait) {
        Some(unset) => format!("{last_lines}. {unset}, or push a fix; then: bootagent update"),
        None => format!("{last_lines}; push a fix, then: bootagent update"),
    }
}

/// The remedy for a start command that ends without an error: it is a library or wants arguments, it is done, or it has
/// started the service in the background.
fn without_an_error(wait: &HealthWait) -> String {
    let last_lines = format!("journalctl -u {} has its last lines", wait.gate.unit);
    let unset = unset(wait);
    let lacks = match &unset {
        Some(unset) => format!(" {unset}."),
        None => String::new(),
    };
    match &wait.guess {
        Some(guess) => format!(
            "the start line was {guess}: if that is not the service, or wants arguments, name the service's own with start in \
             bootagent.toml; {last_lines}.{lacks} Then: bootagent update"
        ),
        None => {
            let other = match unset.is_some() {
                true => "",
                false => {
                    " If it ended because something is missing, such as a database, a variable or an argument, correct that."
                }
            };
            format!(
                "{last_lines}. The start command must stay in the foreground: when it ends, systemd stops what it started in the \
                 background (as pm2 start, forever start or nohup do).{lacks}{other} Then: bootagent update"
            )
        }
    }
}

/// Node prints EADDRINUSE; most other runtimes print the text of strerror(3).
fn is_address_in_use(line: &str) -> bool {
    line.contains("EADDRINUSE") || line.to_lowercase().contains("address already in use")
}

/// The cause if the service ended for lack of memory. SIGKILL alone is not enough, because operators send it, too: then
/// the kernel must have counted OOM kills since the health check began.
fn out_of_memory(systemd: &str, exit: Option<Exit>, kills: u64, lines: &[ForeignText]) -> Option<String> {
    if systemd.contains("oom-kill") || systemd.contains("OOM killer") {
        return Some("the kernel killed it for lack of memory".to_owned());
    }
    if exit == Some(KILL) && kills > 0 {
        return Some(format!("the kernel killed {kills} processes for lack of memory meanwhile"));
    }
    let heap = lines.iter().any(|line| line.says("JavaScript heap out of memory"));
    heap.then(|| "Node reached the limit of its heap".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigkill_counts_as_out_of_memory_only_if_the_kernel_or_systemd_says_so() {
        let judged = |systemd: &str, exit, kills, line: &str| {
            out_of_memory(systemd, exit, kills, &[ForeignText::line(line)]).is_some()
        };
        let oom = "x.service: A process of this unit has been killed by the OOM killer.";
        assert!(judged(oom, Some(KILL), 0, ""));
        assert!(judged("x.service: Failed with result 'oom-kill'.", None, 0, ""));
        assert!(judged("", Some(KILL), 1, ""));
        assert!(judged("", Some(Exit::Signal(6)), 0, "FATAL ERROR: JavaScript heap out of memory"));
        // An operator sent SIGKILL.
        assert!(!judged("x.service: Main process exited, code=killed, status=9/KILL", Some(KILL), 0, ""));
        // The OOM killer ended another program.
        assert!(!judged("", Some(Exit::Status(1)), 1, "out of luck"));
    }

    #[test]
    fn an_address_in_use_is_recognized_in_each_runtimes_words() {
        for line in [
            "Error: listen EADDRINUSE: address already in use :::3000",
            "OSError: [Errno 98] Address already in use",
            "listen tcp :3000: bind: address already in use",
        ] {
            assert!(is_address_in_use(line), "{line}");
        }
        assert!(!is_address_in_use("Error: listen EACCES: permission denied 0.0.0.0:80"));
    }
}
