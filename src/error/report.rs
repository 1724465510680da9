//! An error as plain data: `ErrorReport` for people and files, `SentError` from a child process to its parent.
//!
//! Foreign text (of a repository, a tool or a server) gets into an `ErrorReport` only after redaction.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Code, Details, Error};
use crate::secret::{CUT, Message, Unredacted};

/// The form of an error in the status file and in JSON output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReport {
    pub code: String,
    pub doing: String,
    pub causes: Vec<String>,
    pub remedy: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
}

/// An error that a child process sends to its parent, with foreign text that is not redacted yet.
#[derive(Debug, Serialize, Deserialize)]
pub struct SentError {
    report: ErrorReport,
    causes: Vec<Unredacted>,
    output: Vec<Unredacted>,
}

impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.doing, self.causes.join(": "), self.code)?;
        for line in &self.output {
            write!(f, "\n    {line}")?;
        }
        write!(f, "\n  {}", self.remedy)
    }
}

impl Error {
    /// The error for the status file, without foreign text that is not redacted: causes have `[not shown]` in its
    /// place.
    pub fn report(&self) -> ErrorReport {
        let details = &self.0;
        ErrorReport {
            code: details.code.name().to_owned(),
            doing: bounded(&details.doing),
            causes: details.causes.iter().map(|cause| bounded(&cause.own())).collect(),
            remedy: details.remedy.clone().unwrap_or_else(|| details.code.remedy().to_owned()),
            fault: details.fault.clone(),
            retry_after: details.retry_after,
            output: details.output.iter().filter(|line| line.is_own()).map(Message::own).collect(),
        }
    }

    /// The error of a report that an earlier run wrote. Foreign text in it was redacted then.
    pub fn from_report(report: ErrorReport) -> Self {
        let ErrorReport { code, doing, causes, remedy, fault, output, .. } = report;
        let code = Code::ALL.iter().copied().find(|known| known.name() == code).unwrap_or(Code::Bug);
        let [causes, output] = [causes, output].map(|all| all.into_iter().map(Message::from).collect());
        let remedy = Some(remedy);
        Error(Box::new(Details { code, doing, causes, remedy, fault, retry_after: None, output }))
    }

    /// The error for the parent process, which knows the secret values that must be hidden.
    pub fn sent(&self) -> SentError {
        SentError {
            report: ErrorReport { causes: Vec::new(), output: Vec::new(), ..self.report() },
            causes: self.0.causes.iter().map(Unredacted::from).collect(),
            output: self.0.output.iter().map(Unredacted::from).collect(),
        }
    }

    /// An error that a child process sent. A code that this program does not know becomes `E-BUG`.
    pub fn received(sent: SentError) -> Self {
        let ErrorReport { code, doing, remedy, fault, retry_after, .. } = sent.report;
        let code = Code::ALL.iter().copied().find(|known| known.name() == code).unwrap_or(Code::Bug);
        let [causes, output] =
            [sent.causes, sent.output].map(|all| all.into_iter().map(Unredacted::received).collect());
        Error(Box::new(Details { code, doing, causes, remedy: Some(remedy), fault, retry_after, output }))
    }
}

/// Bounds a library's message, too: a serial console shows about 11 kB in a second.
fn bounded(text: &str) -> String {
    const MOST_BYTES: usize = 1 << 10;
    match text.len() > MOST_BYTES {
        true => format!("{}{CUT}", &text[..text.floor_char_boundary(MOST_BYTES)]),
        false => text.to_owned(),
    }
}
