//! The retry rule: while nothing serves, every failure is tried again, and slowly. What only a person can mend is so,
//! too: it is mended from outside (a role, a secret, a policy), and the machine comes up by itself. Pure.

use crate::error::{Code, Exit};
use crate::facts::Seconds;
use crate::plan::{Action, layout};

/// Each try is one call or a few to what the boot needs, so that a whole fleet may do this for days.
pub const AFTER: Seconds = Seconds(300);

/// A wrong command line stays wrong, and so does a bug.
const NEVER: [Exit; 2] = [Exit::Usage, Exit::Bug];

/// The same as `RestartPreventExitStatus=` in the agent's own unit says it, which also has 2: what was good serves.
pub fn is_due_after(code: Code) -> bool {
    !NEVER.contains(&code.exit())
}

/// Of a run that systemd does not start again by itself: one from user-data, or by hand.
pub fn arrange() -> Action {
    let (unit, timer) = (layout::AGENT_UNIT.to_owned(), layout::RETRY.to_owned());
    Action::ArrangeRetry { unit, timer, after: AFTER }
}

pub fn cancel() -> Action {
    Action::CancelRetry { unit: layout::AGENT_UNIT.to_owned(), timer: layout::RETRY.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule is carried out by systemd and by us: both must say the same.
    #[test]
    fn the_unit_says_the_same() {
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
    fn what_is_mended_from_outside_is_tried_again() {
        for code in [Code::SecretDenied, Code::PolicyInvalid, Code::TagMissing, Code::ServiceExited] {
            assert!(is_due_after(code), "{code:?}");
        }
        for code in [Code::Usage, Code::Bug, Code::CoreDumps] {
            assert!(!is_due_after(code), "{code:?}");
        }
    }
}
