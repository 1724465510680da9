//! The result of one probe of a service: good, or why not. Data only.

use crate::fault::Fault;
use crate::machine::process::units;
use crate::secret::Message;

/// A good result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Good {
    /// What was observed: `http://127.0.0.1:3000/ answered 200`.
    pub answer: String,
    /// Whether the service listens on a port.
    pub is_listening: bool,
    pub processes: Option<Processes>,
}

/// The service's processes within the unit, if a health check by a command lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processes {
    /// How often processes were restarted, in total.
    pub restarts: u32,
    /// The list as the command printed it. It changes when a process is replaced.
    pub which: String,
}

/// A bad result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    pub fault: Fault,
    pub cause: Message,
    /// The service listens, but on other ports only.
    pub is_elsewhere: bool,
    /// Waiting does not help.
    pub is_final: bool,
    /// The service has ended, and what started it neither starts it again nor ends itself.
    pub is_abandoned: bool,
    pub processes: Option<Processes>,
    pub remedy: Option<String>,
}

pub fn bad(fault: Fault, cause: impl Into<Message>) -> Bad {
    let cause = cause.into();
    Bad {
        fault,
        cause,
        is_elsewhere: false,
        is_final: false,
        is_abandoned: false,
        processes: None,
        remedy: None,
    }
}

pub fn imds_answers() -> Bad {
    bad(Fault::ImdsAnswers, units::IMDS_ANSWERS_SERVICE)
}
