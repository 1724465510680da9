//! Why the planner returns no plan: it needs a fact that it cannot get itself, or there is an error.

use crate::error::{Code, Error};
use crate::facts::{Ask, Evidence, Question, Source};

/// Questions for one plan. No runtime needs as many; a bug could otherwise ask for ever.
pub const MAX_QUESTIONS: usize = 8;

#[derive(Debug)]
pub enum Unmet {
    Ask(Question),
    Error(Error),
}

impl From<Error> for Unmet {
    fn from(error: Error) -> Self {
        Unmet::Error(error)
    }
}

impl Unmet {
    /// For commands that cannot answer questions: a question becomes an error.
    pub fn into_error(self) -> Error {
        match self {
            Unmet::Error(error) => error,
            Unmet::Ask(question) => {
                let cause = "the plan depends on it, and this command does not use the network";
                Error::new(Code::RuntimeMissing, question.what, cause)
                    .remedy("run it on the instance, or give --facts a file that contains the answer")
            }
        }
    }
}

/// The first of them: all those of a directory are too many for one line.
fn listed(paths: &[String]) -> String {
    const SHOWN: usize = 3;
    match paths.len().saturating_sub(SHOWN) {
        0 | 1 => paths.join(", "),
        more => format!("{} and {more} more files", paths[..SHOWN].join(", ")),
    }
}

/// Asks for the text of those files that the fetch did not read: the commit may come from a record of an older
/// bootagent, which did not need them.
pub fn require_texts(source: &Source, paths: &[&str]) -> Result<(), Unmet> {
    let is_unknown = |path: &&&str| source.evidence_of(path) == Evidence::NeverAsked;
    let unknown: Vec<String> =
        paths.iter().filter(is_unknown).map(|path| source.in_repository(path)).collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Unmet::Ask(Question {
            name: "evidence".to_owned(),
            what: format!("reading {} of {}", listed(&unknown), source.named()),
            ask: Ask::Evidence(unknown),
        })),
    }
}
