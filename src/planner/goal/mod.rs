//! The goals of a run. Each composes the planner's chapters (`build`, `migrate`, `start`, ...) into a plan.

mod prepare;
mod serve;

pub use prepare::prepare;
pub use serve::serve;
