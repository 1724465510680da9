pub mod error;
pub mod facts;
pub mod plan;
pub mod secret;
