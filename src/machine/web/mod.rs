//! Downloads over https other than git's: archives and indexes, the HTTP client, and the CA certificates it trusts.

pub mod agent;
pub mod archive;
pub mod connect;
pub mod document;
pub mod get;
pub mod tls;
pub mod trust;
