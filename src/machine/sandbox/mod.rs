//! The children that handle what strangers wrote: fetching a repository, and writing its files.
//!
//! libgit2 parses packs, trees and advertisements from the network, so it never runs in a root process.
//! A parent says one [`request`] on the child's stdin and hears one [`Reply`] on its stdout; who the
//! child is (a dynamic uid under systemd, the caller on a laptop) is the parent's choice.
//!
//! ```text
//! parent: plain (laptop) ─┐                     ┌─ fetch ──► http, ssh (transports), inspect (what may be)
//!         a systemd unit ─┴─ request ─► child ──┤
//!                         ◄── Reply ───         └─ checkout ──► inspect, then plain file writes
//! ```

mod address;
mod archive;
mod checkout;
pub mod child;
mod commits;
mod credential;
mod document;
pub mod drain;
mod fetch;
mod github_app;
pub mod guard;
mod http;
pub mod imds_proof;
mod inspect;
mod libgit2;
mod links;
mod local;
mod paths;
mod plain;
pub mod request;
mod rsa;
mod ssh;
mod transport;
pub(in crate::machine) mod trust;
pub mod unit;
mod unsupported;
mod web;

pub use archive::{archive, stays_inside};
pub use checkout::checkout;
pub use child::Role;
pub use credential::{App, Credential};
pub use document::document;
pub use fetch::{fetch, tip};
pub use local::reader;
pub use plain::{plain, plain_as};
pub use request::{
    ArchiveRequest, CheckoutRequest, DocumentRequest, FetchRequest, Limits, Reply, Repository, Timeouts,
    decode_reply, encode_request, read_reply,
};
