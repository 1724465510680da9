//! The planner asks until it knows: each of its questions is answered by observing, and the plan is made anew.

use std::sync::Arc;

use super::decide::{Service, decide};
use super::fetch::fetched;
use super::identify::Identified;
use crate::error::{Code, Error, Result};
use crate::facts::{Ask, Question};
use crate::machine::{Observe, Scratch};
use crate::observe::{self, Fetched, Flags};
use crate::plan::{Plan, Rendering};
use crate::planner::{MOST_QUESTIONS, Unmet};
use crate::report::Report;

/// What it takes to answer.
pub struct Questions<'a, M> {
    pub machine: &'a M,
    pub flags: &'a Flags,
    pub identified: &'a Identified,
    pub report: &'a Report,
}

impl<M: Observe> Questions<'_, M> {
    /// The plan, and the objects of whatever was fetched last.
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
            if asked.len() == MOST_QUESTIONS || asked.contains(&question) {
                let cause = "the answer to a question of the planner leads to the same question again";
                return Err(Error::new(Code::Bug, question.what, cause));
            }
            match &question.ask {
                Ask::Document { address, most } => {
                    let answer = self.document(&question, address, *most).await?;
                    facts.known.learn(&question, answer);
                }
                Ask::Evidence(paths) => {
                    // Both are in the same place: what was fetched before goes first.
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

    /// The same commit once more, with the text of more of its files.
    async fn evidence(&self, question: &Question, service: &Service, paths: &[String]) -> Result<Fetched> {
        let mut identified = self.identified.clone();
        identified.selection.pinned = Some(service.source.commit.clone().into());
        let known = service.source.evidence.keys().chain(&service.source.absent);
        let paths: Vec<String> = known.chain(paths).cloned().collect();
        let fetching = fetched(self.machine, self.flags, &identified, &paths);
        self.report.during("fetch", &question.what, fetching).await
    }
}
