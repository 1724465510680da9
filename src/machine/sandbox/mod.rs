//! The children that handle what strangers wrote: fetching a repository, and writing its files.
//!
//! libgit2 parses packs, trees and advertisements from the network, so it never runs in a root process.
//! A parent says one [`request`] on the child's stdin and hears one [`Reply`] on its stdout; who the
//! child is (a dynamic uid under systemd, the caller on a laptop) is the parent's choice.
//!
//! ```text
//! parent: plain (laptop) ─┐                     ┌─ fetch ──► http (transport), inspect (what may be)
//!         a systemd unit ─┴─ request ─► child ──┤
//!                         ◄── Reply ───         └─ checkout ──► inspect, then plain file writes
//! ```

mod address;
mod checkout;
pub mod child;
mod fetch;
pub mod guard;
mod http;
mod inspect;
mod libgit2;
mod links;
mod paths;
mod plain;
pub mod request;
mod scrub;
pub(in crate::machine) mod trust;
pub mod unit;

pub use checkout::checkout;
pub use child::Role;
pub use fetch::fetch;
pub use plain::{plain, plain_as};
pub use request::{
    CheckoutRequest, Credential, FetchRequest, Limits, Reply, Repository, Timeouts, decode_reply,
    encode_request,
};
pub(in crate::machine) use scrub::without_userinfo;
