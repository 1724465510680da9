//! Child processes and transient units for work on untrusted input, such as fetching a repository and writing its
//! files. Also the firewall rules of `imds.users`, and the proof that a process cannot reach IMDS.
//!
//! libgit2 parses packs, trees and ref advertisements from the network, so it never runs in a root process. The parent
//! writes one [`request`] to the child's stdin and reads one [`request::Reply`] from its stdout. The parent chooses the
//! child's user: a dynamic user in a transient unit, or the caller on a laptop.
//!
//! ```text
//! parent: ask (laptop) ───┐                     ┌─ fetch ──► http, ssh (transports), inspect (checks the tree)
//!         a systemd unit ─┴─ request ─► child ──┤
//!                         ◄── Reply ───         └─ checkout ──► inspect, then plain file writes
//! ```

pub mod ask;
pub mod child;
pub mod imds_proof;
pub mod imds_rules;
pub mod on_the_wire;
pub mod request;
pub mod unit;
pub mod wrapper;
