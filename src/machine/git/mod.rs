//! A repository's commit, fetched and checked out. All but `parent.rs` runs in a child: libgit2 never runs as root.

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
pub mod parent;
pub mod paths;
pub mod request;
pub mod route;
pub mod rsa;
pub mod ssh;
pub mod transport;
pub mod unsupported;
