//! What an operator set on this machine with systemctl or bootagent, as plain data. It takes precedence over any plan.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Hold;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operator {
    /// Set by `bootagent hold`: no run may change the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Masked units, such as `nginx.service`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub masked: BTreeSet<String>,
    /// `bootagent.service` is installed, but systemd does not start it at a boot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub agent_disabled: bool,
}

impl Operator {
    pub fn said_nothing(&self) -> bool {
        *self == Operator::default()
    }
}
