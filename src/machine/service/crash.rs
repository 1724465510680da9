//! Why a service ended, from what is left of it: systemd's words, the kernel's counters, the service's last lines and
//! who holds its port. What it says itself chooses the name of a failure and never more than that.

use super::probe;
use crate::error::{Code, Error};
use crate::fault::Fault;
use crate::machine::now;
use crate::machine::process::exit::{Exit, KILL};
use crate::machine::process::units::UnitState;
use crate::machine::process::{journal, memory, sockets};
use crate::plan::Gate;
use crate::secret::ForeignText;

/// What was seen of a unit while it was waited for.
pub struct Seen {
    since: u64,
    oom_kills: Option<u64>,
    pub invocations: Vec<String>,
    /// systemd forgets it when it starts the next process.
    pub exit: Option<Exit>,
    result: String,
}

impl Seen {
    pub fn from_now_on() -> Seen {
        // The journal's clock is coarser.
        let since = now().saturating_sub(1);
        Seen {
            since,
            oom_kills: memory::oom_kills(),
            invocations: Vec::new(),
            exit: None,
            result: String::new(),
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

/// It is down, or was started too often.
pub fn ended(gate: &Gate, state: &UnitState, restarts: u32, exit: Option<Exit>) -> Error {
    let last = exit.map(|exit| format!(", last {}", exit.words())).unwrap_or_default();
    let cause = match state.active.as_str() {
        "failed" => match state.exit {
            Some(exit) => format!("the unit failed ({}), it ended {}", state.result, exit.words()),
            None => format!("the unit failed ({})", state.result),
        },
        "inactive" => "it ended, and nothing starts it again".to_owned(),
        _ => format!("it ended {restarts} times{last}"),
    };
    Fault::ServiceExited.error(format!("waiting until {} is healthy", gate.unit), cause)
        .remedy(format!(
        "the service ends by itself: journalctl -u {} has its last lines; push a fix, then: bootagent run --update",
        gate.unit
    ))
}

/// The same error with what explains it, or another one that names the cause.
pub async fn explained(gate: &Gate, error: Error, seen: &Seen) -> Error {
    let lines = journal::last_lines(&seen.invocations).await;
    let is_exit = matches!(error.code(), Code::ServiceExited | Code::HealthFlapping);
    let error = if is_exit { cause(gate, error, seen, &lines).await } else { error };
    let error = match journal::dropped(&gate.unit, seen.since).await {
        0 => error,
        count => error.because(format!(
            "the journal dropped {count} of its lines, perhaps those that say why: it logs more than \
             LogRateLimitBurst= of journald.conf"
        )),
    };
    error.saying(lines)
}

async fn cause(gate: &Gate, error: Error, seen: &Seen, lines: &[ForeignText]) -> Error {
    let systemd = journal::last_word(&gate.unit, seen.since).await;
    let exit = seen.exit.or_else(|| Exit::last_in(&systemd));
    let doing = || format!("waiting until {} is healthy", gate.unit);
    let kills = memory::oom_kills().zip(seen.oom_kills).map_or(0, |(now, before)| now.saturating_sub(before));
    if let Some(how) = want_of_memory(&format!("{systemd}\n{}", seen.result), exit, kills, lines) {
        let cause = error.cause().and(format!(": {}", memory::with_state(how)));
        return Fault::ServiceOutOfMemory.error(doing(), cause).remedy(
            "take an instance type with more memory, add swap, or let the service use less (for Node: \
             --max-old-space-size)",
        );
    }
    if let Some(port) = gate.probe.port().filter(|_| lines.iter().any(|line| line.judge(is_address_in_use))) {
        let foreign = sockets::listeners(port, "").foreign;
        if let Some(holder) = foreign.first() {
            let bad = probe::held(port, Some(holder));
            let error = bad.fault.error(doing(), bad.cause.and("; ").and(error.cause()));
            return bad.remedy.into_iter().fold(error, Error::remedy);
        }
    }
    match exit.filter(|_| seen.exit.is_none()) {
        Some(exit) => error.because(format!("it ended {}", exit.words())),
        None => error,
    }
}

/// Node's word for it, and that of most others.
fn is_address_in_use(line: &str) -> bool {
    line.contains("EADDRINUSE") || line.to_lowercase().contains("address already in use")
}

/// SIGKILL alone says little: operators send it, too. The kernel counts its own kills.
fn want_of_memory(systemd: &str, exit: Option<Exit>, kills: u64, lines: &[ForeignText]) -> Option<String> {
    if systemd.contains("oom-kill") || systemd.contains("OOM killer") {
        return Some("the kernel killed it for want of memory".to_owned());
    }
    if exit == Some(KILL) && kills > 0 {
        return Some(format!("the kernel killed {kills} processes for want of memory meanwhile"));
    }
    let heap = lines.iter().any(|line| line.says("JavaScript heap out of memory"));
    heap.then(|| "Node reached the limit of its heap".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_want_of_memory_only_by_the_kernels_own_word() {
        let judged = |systemd: &str, exit, kills, line: &str| {
            want_of_memory(systemd, exit, kills, &[ForeignText::line(line)]).is_some()
        };
        let oom = "x.service: A process of this unit has been killed by the OOM killer.";
        assert!(judged(oom, Some(KILL), 0, ""));
        assert!(judged("x.service: Failed with result 'oom-kill'.", None, 0, ""));
        assert!(judged("", Some(KILL), 1, ""));
        assert!(judged("", Some(Exit::Signal(6)), 0, "FATAL ERROR: JavaScript heap out of memory"));
        // An operator's.
        assert!(!judged("x.service: Main process exited, code=killed, status=9/KILL", Some(KILL), 0, ""));
        // Another program's.
        assert!(!judged("", Some(Exit::Status(1)), 1, "out of luck"));
    }

    #[test]
    fn an_address_in_use_is_known_in_many_words() {
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
