//! The goals of a run. Each composes the planner's chapters (`build`, `migrate`, `start`, ...) into a plan.

mod bake;
mod prepare;
mod serve;

pub use bake::bake;
pub use prepare::prepare;
pub use serve::serve;
