//! Why there is no plan: something must be asked first, or something is wrong.

use crate::error::{Code, Error};
use crate::facts::{Ask, Evidence, Question, Source};

/// How often the planner may ask for one plan: more than any runtime has to. What asks for ever is a defect of ours.
pub const MOST_QUESTIONS: usize = 8;

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
    /// Where nothing can be asked, a question is an error.
    pub fn into_error(self) -> Error {
        match self {
            Unmet::Error(error) => error,
            Unmet::Ask(question) => {
                let cause = "the plan depends on the answer, and nothing here can be asked for it";
                Error::new(Code::RuntimeMissing, question.what, cause)
                    .remedy("run it on the instance, or give facts that hold the answer")
            }
        }
    }
}

/// Asks for the text of those files that no fetch asked for: a record may be of an agent that did not know them.
pub fn look_at(source: &Source, paths: &[&str]) -> Result<(), Unmet> {
    let is_unknown = |path: &&&str| source.evidence_of(path) == Evidence::NeverAsked;
    let unknown: Vec<String> = paths.iter().filter(is_unknown).map(|path| (*path).to_owned()).collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Unmet::Ask(Question {
            name: "evidence".to_owned(),
            what: format!("reading {} of {}", unknown.join(", "), source.named()),
            ask: Ask::Evidence(unknown),
        })),
    }
}
