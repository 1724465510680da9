//! What a run is known to have done so far, where its next decision depends on that.

use super::Report;
use super::status::Outcome;
use crate::facts::Instance;
use crate::plan::{Step, StepId};

impl Report {
    pub fn known_instance(&self) -> Option<Instance> {
        self.status().instance.clone()
    }

    /// The wanted deployment is the current one, and did not pass its health check.
    pub fn was_put_to_run(&self) -> bool {
        self.has_done(&StepId::new("switch")) && !self.has_passed()
    }

    /// It was already so when its step came.
    pub fn was_unchanged(&self, id: &str) -> bool {
        self.status().steps.iter().any(|step| step.id == id && step.outcome == Outcome::Unchanged)
    }

    /// From here on every step is done anew, but for these.
    pub fn begin_again(&self, why: &str, but: &[Step]) {
        self.say(why);
        self.update(|status| {
            status.steps.retain(|step| but.iter().any(|kept| kept.id.as_str() == step.id));
            status.notes.push(why.to_owned());
        });
    }

    /// Whether something good is known to serve: what passed in this run, or what it left alone or went back to.
    pub fn knows_what_serves(&self) -> bool {
        self.has_passed() || self.status().serving.is_some()
    }

    /// When a run that failed while nothing serves is tried again, in seconds since 1970.
    pub fn is_tried_again(&self, at: u64) {
        self.update(|status| status.retry_at = Some(at));
    }
}
