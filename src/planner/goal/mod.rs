//! The goals of a run. Each composes the planner's chapters (`build`, `migrate`, `start`, ...) into a plan.

mod serve;

pub use serve::serve;
