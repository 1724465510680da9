//! What Auto Scaling does with the instance, as IMDS and the record of an earlier run say.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// `autoscaling/target-lifecycle-state`: the state that the instance goes to or has. It is `InService` already while
    /// the instance waits at a launch hook. Absent outside of an Auto Scaling group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The target state for which an earlier run of this instance completed its hook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<String>,
}

impl Lifecycle {
    pub fn is_unknown(&self) -> bool {
        *self == Lifecycle::default()
    }

    /// Whether a text is the name of a state, such as `InService` or `Warmed:Stopped`: it becomes part of messages and
    /// of a record.
    pub fn is_state(text: &str) -> bool {
        (1..=40).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphabetic() || c == ':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_words_of_letters() {
        for state in ["InService", "Terminated", "Warmed:Stopped"] {
            assert!(Lifecycle::is_state(state), "{state}");
        }
        for other in ["", "In Service", "InService\n", "\u{1b}[31m", "<html>", &"x".repeat(41)] {
            assert!(!Lifecycle::is_state(other), "{other:?}");
        }
    }
}
