//! A repository's commit, fetched and checked out. Everything here runs in a child, and never as root.

pub mod address;
pub mod checkout;
pub mod commits;
pub mod credential;
pub mod fetch;
pub mod github_app;
pub mod http;
pub mod inspect;
pub mod libgit2;
pub mod links;
pub mod local;
pub mod paths;
pub mod rsa;
pub mod ssh;
pub mod transport;
pub mod unsupported;
