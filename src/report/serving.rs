//! What serves after a run that failed.

use super::Report;
use crate::facts::{Asked, Generation};
use crate::plan::Mark;

impl Report {
    /// What runs now is the former generation, and it is what a status probes.
    pub fn recovered(&self, former: Option<&Generation>) {
        let Some(former) = former.filter(|_| self.has_reached(Mark::BackServing)) else {
            return;
        };
        let how = if self.has_changed(Mark::BackStarted) { "serves again" } else { "serves on" };
        self.serves(former, how);
    }

    /// There is no plan, and the former generation answers.
    pub fn serves_on(&self, former: &Generation) {
        self.serves(former, "serves on");
    }

    /// Whose present is to be read.
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

    /// There is no plan, and what passed on this instance is not seen to serve. What an image brought
    /// along never did, and nothing is said of it.
    pub fn may_not_serve(&self, former: &Generation, cause: &str) {
        if self.status().passed.as_ref() != Some(&former.commit) {
            return;
        }
        let note =
            format!("commit {}, which passed last, is not seen to serve: {cause}", former.commit.short());
        self.say(&note);
        self.update(|status| {
            status.probe(&former.gate);
            status.notes.push(note);
        });
    }
}
