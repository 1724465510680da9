//! Answers the planner's questions. The planner is pure: if it needs a file or a document, it returns a question
//! instead of a plan; this module reads the answer and calls the planner again.

use std::sync::Arc;

use super::decide::{Service, decide};
use super::fetch::fetched;
use super::identify::Identified;
use crate::error::{Code, Error, Result};
use crate::facts::{Ask, Question};
use crate::machine::{Observe, Scratch};
use crate::observe::{self, Fetched, Flags};
use crate::plan::{Plan, Rendering};
use crate::planner::{MAX_QUESTIONS, Unmet};
use crate::report::Report;

/// What is needed to answer questions.
pub struct Questions<'a, M> {
    pub machine: &'a M,
    pub flags: &'a Flags,
    pub identified: &'a Identified,
    pub report: &'a Report,
}

impl<M: Observe> Questions<'_, M> {
    /// The plan, and the git objects of the last fetch.
    pub async fn plan(
        &self,
        mut service: Arc<Service>,
        mut scratch: Option<Scratch>,
        good_environment: Option<Rendering>,
    ) -> Result<(Plan, Option<Scratch>)> {
        let mut facts = self.identified.facts.clone();
        let mut asked = Vec::new();
        loop {
            let selection = self.identified.selection.clone();
            let made = decide(facts.clone(), selection, Arc::clone(&service), good_environment.clone()).await;
            let question = match made {
                Ok(plan) => return Ok((plan, scratch)),
                Err(Unmet::Error(error)) => return Err(error),
                Err(Unmet::Ask(question)) => question,
            };
            if asked.len() == MAX_QUESTIONS || asked.contains(&question) {
                let cause = "the planner asks too many questions, or the same one again";
                return Err(Error::new(Code::Bug, question.what, cause));
            }
            match &question.ask {
                Ask::Document { address, most } => {
                    let answer = self.document(&question, address, *most).await?;
                    facts.known.learn(&question, answer);
                }
                Ask::Evidence(paths) => {
                    // Deleted first: the new fetch uses the same directory.
                    drop(scratch.take());
                    let fetched = self.evidence(&question, &service, paths).await?;
                    Arc::make_mut(&mut service).source = fetched.source;
                    scratch = fetched.scratch;
                }
            }
            asked.push(question);
        }
    }

    async fn document(&self, question: &Question, address: &str, most: u64) -> Result<String> {
        let Identified { policy, selection, .. } = self.identified;
        let asking = observe::document(self.machine, selection, policy, address, most);
        self.report.during(&question.name, &question.what, asking).await
    }

    /// Fetches the same commit again, with the text of further files.
    async fn evidence(&self, question: &Question, service: &Service, paths: &[String]) -> Result<Fetched> {
        let mut identified = self.identified.clone();
        identified.selection.pinned = Some(service.source.commit.clone().into());
        let known = service.source.evidence.keys().chain(&service.source.absent);
        let paths: Vec<String> = known.chain(paths).cloned().collect();
        let copy = service.source.copy.as_ref();
        let fetching = fetched(self.machine, self.flags, &identified, &paths, copy);
        self.report.during("fetch", &question.what, fetching).await
    }
}
