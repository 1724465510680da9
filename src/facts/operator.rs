//! What an operator told the machine by systemctl or by bootagent itself: it counts for more than any plan. Plain data.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Hold;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operator {
    /// No run may change the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Units that are links to /dev/null, `nginx.service`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub masked: BTreeSet<String>,
    /// `bootagent.service` is there, and is not started at a boot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub agent_disabled: bool,
}

impl Operator {
    pub fn said_nothing(&self) -> bool {
        *self == Operator::default()
    }
}
