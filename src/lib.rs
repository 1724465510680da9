pub mod error;
pub mod facts;
pub mod machine;
pub mod plan;
pub mod secret;
