//! What the run has done so far, for decisions of its next steps.

use super::Report;
use super::status::{Outcome, StepReport};
use crate::error::Code;
use crate::facts::Instance;
use crate::plan::{Mark, Step};

impl Report {
    pub fn known_instance(&self) -> Option<Instance> {
        self.status().instance.clone()
    }

    /// Whether this run switched to the new deployment, which has not passed its health check.
    pub fn was_started(&self) -> bool {
        self.has_reached(Mark::Switched) && !self.has_passed()
    }

    /// Whether the step with this mark had nothing to change.
    pub fn was_unchanged(&self, mark: Mark) -> bool {
        self.any_marked(mark, |step| step.outcome == Outcome::Unchanged)
    }

    pub(super) fn has_changed(&self, mark: Mark) -> bool {
        self.any_marked(mark, StepReport::changed)
    }

    /// Whether the step with this mark is done, with or without a change.
    pub fn has_reached(&self, mark: Mark) -> bool {
        self.any_marked(mark, |step| step.outcome.is_done())
    }

    /// Whether the step with this mark was started, whatever became of it.
    pub fn has_begun(&self, mark: Mark) -> bool {
        self.any_marked(mark, |_| true)
    }

    /// Whether the service passed its health check in this run.
    pub fn has_passed(&self) -> bool {
        self.has_reached(Mark::Passed)
    }

    fn any_marked(&self, mark: Mark, is_so: impl Fn(&StepReport) -> bool) -> bool {
        self.status().steps.iter().any(|step| step.mark == Some(mark) && is_so(step))
    }

    /// Forgets all steps except those of `but`: the run starts again, and does the forgotten ones again.
    pub fn begin_again(&self, why: &str, but: &[Step]) {
        self.say(why);
        self.update(|status| {
            status.steps.retain(|step| but.iter().any(|kept| kept.id.as_str() == step.id));
            status.notes.push(why.to_owned());
        });
    }

    /// Whether a signal ended the run.
    pub fn was_cancelled(&self) -> bool {
        self.status().error.as_ref().is_some_and(|error| error.code == Code::Cancelled.name())
    }

    /// Whether a healthy deployment is known to serve: the new one, or the previous one.
    pub fn knows_what_serves(&self) -> bool {
        self.has_passed() || self.status().serving.is_some()
    }

    /// Reports when systemd starts the failed run again, in seconds since 1970.
    pub fn set_retry(&self, at: u64) {
        self.update(|status| status.retry_at = Some(at));
    }
}
