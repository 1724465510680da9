//! One thing that is unusual about a service, with its code.

use serde::Serialize;

use super::plain;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Stable, for programs.
    pub code: &'static str,
    pub text: String,
}

pub fn warning(code: &'static str, text: impl AsRef<str>) -> Warning {
    Warning { code, text: plain(text.as_ref()) }
}
