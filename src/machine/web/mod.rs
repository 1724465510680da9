//! What is fetched over https, apart from git: archives and indexes, and whom to trust for them.

pub mod agent;
pub mod archive;
pub mod document;
pub mod get;
pub mod tls;
pub mod trust;
