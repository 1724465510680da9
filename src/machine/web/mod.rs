//! What is fetched over https, apart from git: archives and indexes, and whom to trust for them.

pub mod archive;
pub mod get;
pub mod node_index;
pub mod tls;
pub mod trust;
