//! What a run is for: each goal is a chapter, and composes the same functions of the planner.

mod serve;

pub use serve::serve;
