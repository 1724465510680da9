//! The children that handle what strangers wrote: fetching a repository, and writing its files.
//!
//! libgit2 parses packs, trees and advertisements from the network, so it never runs in a root process.
//! A parent says one [`request`] on the child's stdin and hears one [`request::Reply`] on its stdout; who the
//! child is (a dynamic uid under systemd, the caller on a laptop) is the parent's choice.
//!
//! ```text
//! parent: ask (laptop) ───┐                     ┌─ fetch ──► http, ssh (transports), inspect (what may be)
//!         a systemd unit ─┴─ request ─► child ──┤
//!                         ◄── Reply ───         └─ checkout ──► inspect, then plain file writes
//! ```

pub mod ask;
pub mod child;
pub mod imds_proof;
pub mod imds_rules;
pub mod request;
pub mod unit;
pub mod wrapper;
