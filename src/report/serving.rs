//! Reports what serves after a failed run.

use super::Report;
use crate::facts::{Asked, Commit, FleetMemory, FleetPrefix, Generation, S3Object};
use crate::plan::Mark;

impl Report {
    /// The recovery started the previous deployment, which `bootagent status` probes from now on.
    pub fn recovered(&self, former: Option<&Generation>) {
        let Some(former) = former.filter(|_| self.has_reached(Mark::BackServing)) else {
            return;
        };
        let how = if self.has_changed(Mark::BackStarted) { "serves again" } else { "serves on" };
        self.serves(former, how);
    }

    /// The run failed before it had a plan, and the previous deployment answers.
    pub fn serves_on(&self, former: &Generation) {
        self.serves(former, "serves on");
    }

    /// The wanted commit failed, and the last good one of the group is healthy in its place.
    pub fn last_good_serves(&self, wanted: &Commit, good: &Commit) {
        self.update(|status| {
            status.serving = Some(good.clone());
            status.passed = Some(good.clone());
            status.attempted = Some(good.clone());
        });
        self.say(&format!(
            "commit {} failed; commit {}, the last good one, serves in its place",
            wanted.short(),
            good.short()
        ));
    }

    /// Where the report of this run goes; `None` until instance, service and environment are known.
    pub fn place(&self, prefix: Option<&FleetPrefix>) -> Option<S3Object> {
        let status = self.status();
        let memory = FleetMemory {
            prefix: prefix?.clone(),
            service: status.service.clone()?,
            environment: status.environment.clone()?,
        };
        Some(memory.report(&status.instance.as_ref()?.id))
    }

    /// Which service `bootagent status` reads, and how it is probed.
    pub fn asked(&self) -> Asked {
        let status = self.status();
        Asked {
            service: status.service.clone(),
            instance: status.instance.as_ref().map(|instance| instance.id.clone()),
            gate: status.gate.clone(),
        }
    }

    fn serves(&self, former: &Generation, how: &str) {
        self.update(|status| {
            status.serving = Some(former.commit.clone());
            status.probe(&former.gate);
        });
        self.say(&format!("commit {} {how}", former.commit.short()));
    }

    /// The run failed before it had a plan, and the last healthy deployment does not answer. A deployment in the AMI
    /// that was never healthy on this instance is not reported.
    pub fn may_not_serve(&self, former: &Generation, cause: &str) {
        if self.status().passed.as_ref() != Some(&former.commit) {
            return;
        }
        let note = format!("commit {}, the last healthy one, does not serve: {cause}", former.commit.short());
        self.say(&note);
        self.update(|status| {
            status.probe(&former.gate);
            status.notes.push(note);
        });
    }
}
