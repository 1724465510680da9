pub mod error;
pub mod facts;
pub mod observe;
pub mod plan;
pub mod planner;
pub mod secret;
