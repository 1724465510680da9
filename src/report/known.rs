//! What a run is known to have done so far, where its next decision depends on that.

use super::Report;
use super::status::{Outcome, StepReport};
use crate::facts::Instance;
use crate::plan::{Mark, Step};

impl Report {
    pub fn known_instance(&self) -> Option<Instance> {
        self.status().instance.clone()
    }

    /// The wanted deployment is the current one, and did not pass its health check.
    pub fn was_put_to_run(&self) -> bool {
        self.has_reached(Mark::Switched) && !self.has_passed()
    }

    /// It was already so when its step came.
    pub fn was_unchanged(&self, mark: Mark) -> bool {
        self.any_marked(mark, |step| step.outcome == Outcome::Unchanged)
    }

    pub(super) fn has_changed(&self, mark: Mark) -> bool {
        self.any_marked(mark, StepReport::changed)
    }

    /// The step of this mark was done.
    pub fn has_reached(&self, mark: Mark) -> bool {
        self.any_marked(mark, |step| step.outcome.is_done())
    }

    /// Whether the service passed its health check in this run.
    pub fn has_passed(&self) -> bool {
        self.has_reached(Mark::Passed)
    }

    fn any_marked(&self, mark: Mark, is_so: impl Fn(&StepReport) -> bool) -> bool {
        self.status().steps.iter().any(|step| step.mark == Some(mark) && is_so(step))
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
