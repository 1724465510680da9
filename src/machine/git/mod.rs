//! Fetches a commit and checks it out. libgit2 parses untrusted data, so it runs only in child processes, and not as
//! root (but for a local repository that root alone can change). The parent's side is `parent.rs`.

pub mod address;
pub mod bundle;
pub mod changes;
pub mod checkout;
pub mod commits;
pub mod credential;
mod empty;
pub mod fetch;
pub mod github_app;
pub mod http;
pub mod inspect;
pub mod lfs;
pub mod libgit2;
pub mod links;
pub mod local;
pub mod modules;
pub mod parent;
pub mod paths;
mod pointer;
mod remote;
pub mod request;
pub mod route;
pub mod rsa;
pub mod signature;
pub mod ssh;
pub mod submodules;
pub mod transport;
pub mod unsupported;
