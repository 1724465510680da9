//! What one observation of a service found: that it is good, or why not.

use crate::fault::Fault;
use crate::machine::process::units;
use crate::secret::Message;

/// What an observation that is good saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Good {
    pub answer: String,
    pub processes: Option<Processes>,
}

/// The service's processes within the unit, where a program tells of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processes {
    /// How often they were restarted.
    pub restarts: u32,
    /// Which they are, in the program's own words.
    pub which: String,
}

/// Why an observation is not good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    pub fault: Fault,
    pub cause: Message,
    /// It listens, but on other ports only.
    pub is_elsewhere: bool,
    /// It will not become better by itself.
    pub is_final: bool,
    pub processes: Option<Processes>,
    pub remedy: Option<String>,
}

pub fn bad(fault: Fault, cause: impl Into<Message>) -> Bad {
    Bad { fault, cause: cause.into(), is_elsewhere: false, is_final: false, processes: None, remedy: None }
}

pub fn imds_answers() -> Bad {
    bad(Fault::ImdsAnswers, units::IMDS_ANSWERS_SERVICE)
}
