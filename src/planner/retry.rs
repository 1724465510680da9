//! The retry rule: while nothing serves, a failed run is repeated every five minutes. Also after errors that only a
//! person can correct: once the role, the secret or the policy is corrected, the service starts without a login.
//! Pure.

use crate::error::{Code, Exit};
use crate::facts::Seconds;
use crate::plan::{Action, layout};

/// A run sends only a few requests to AWS and git, so that at this interval a large group of instances can retry for
/// days.
pub const AFTER: Seconds = Seconds(300);

/// Not repeated: a wrong command line or a bug fails again in the same way.
const NEVER: [Exit; 2] = [Exit::Usage, Exit::Bug];

/// Whether a run that failed with this code is repeated. `RestartPreventExitStatus=` of bootagent.service has the same
/// rule, and also exit status 2, with which the previous deployment serves.
pub fn is_due_after(code: Code) -> bool {
    !NEVER.contains(&code.exit())
}

/// Sets the timer. Only for a run from user-data or from a shell: systemd repeats a run of bootagent.service by itself.
pub fn arrange() -> Action {
    let (unit, timer) = (layout::AGENT_UNIT.to_owned(), layout::RETRY.to_owned());
    Action::ArrangeRetry { unit, timer, after: AFTER }
}

/// Removes the timer.
pub fn cancel() -> Action {
    Action::CancelRetry { unit: layout::AGENT_UNIT.to_owned(), timer: layout::RETRY.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// systemd and this file both implement the rule.
    #[test]
    fn the_unit_has_the_same_rule() {
        let unit = include_str!("../../units/bootagent.service");
        let value = |key: &str| {
            unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
        };
        assert_eq!(value("Restart"), "on-failure");
        assert_eq!(value("RestartSec"), AFTER.0.to_string());
        let never: Vec<String> = NEVER.iter().map(|exit| (*exit as u8).to_string()).collect();
        assert_eq!(value("RestartPreventExitStatus"), format!("2 {}", never.join(" ")));
    }

    #[test]
    fn errors_that_are_corrected_outside_of_the_machine_are_retried() {
        for code in [Code::SecretDenied, Code::PolicyInvalid, Code::TagMissing, Code::ServiceExited] {
            assert!(is_due_after(code), "{code:?}");
        }
        for code in [Code::Usage, Code::Bug, Code::CoreDumps] {
            assert!(!is_due_after(code), "{code:?}");
        }
    }
}
