//! An error as plain data: for people, and between our own processes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Code, Error, Told};
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

/// An error on its way from a child process to its parent.
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
    /// Everything about it as plain data, for the status file. What others said is in it only if it was redacted.
    pub fn report(&self) -> ErrorReport {
        let told = &self.0;
        ErrorReport {
            code: told.code.name().to_owned(),
            doing: bounded(&told.doing),
            causes: told.causes.iter().map(|cause| bounded(&cause.own())).collect(),
            remedy: told.remedy.clone().unwrap_or_else(|| told.code.remedy().to_owned()),
            fault: told.fault.clone(),
            retry_after: told.retry_after,
            output: told.output.iter().filter(|line| line.is_own()).map(Message::own).collect(),
        }
    }

    /// An error that was told before, and kept as plain data. What others said in it was redacted then.
    pub fn told_before(report: ErrorReport) -> Self {
        let ErrorReport { code, doing, causes, remedy, fault, output, .. } = report;
        let code = Code::ALL.iter().copied().find(|known| known.name() == code).unwrap_or(Code::Bug);
        let [causes, output] = [causes, output].map(|all| all.into_iter().map(Message::from).collect());
        Error(Box::new(Told { code, doing, causes, remedy: Some(remedy), fault, retry_after: None, output }))
    }

    /// Everything about it for the parent process, which knows what must be hidden.
    pub fn sent(&self) -> SentError {
        SentError {
            report: ErrorReport { causes: Vec::new(), output: Vec::new(), ..self.report() },
            causes: self.0.causes.iter().map(Unredacted::from).collect(),
            output: self.0.output.iter().map(Unredacted::from).collect(),
        }
    }

    /// An error that a child process sent. An unknown code is a bug of ours, and says so.
    pub fn received(sent: SentError) -> Self {
        let ErrorReport { code, doing, remedy, fault, retry_after, .. } = sent.report;
        let code = Code::ALL.iter().copied().find(|known| known.name() == code).unwrap_or(Code::Bug);
        let [causes, output] =
            [sent.causes, sent.output].map(|all| all.into_iter().map(Unredacted::received).collect());
        Error(Box::new(Told { code, doing, causes, remedy: Some(remedy), fault, retry_after, output }))
    }
}

/// A library's message may be long as well, and goes to consoles of 115200 baud.
fn bounded(text: &str) -> String {
    const MOST_BYTES: usize = 1 << 10;
    match text.len() > MOST_BYTES {
        true => format!("{}{CUT}", &text[..text.floor_char_boundary(MOST_BYTES)]),
        false => text.to_owned(),
    }
}
