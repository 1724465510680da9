//! Programs, systemd's units and the journal, sockets and users of this machine, and this very process.

pub mod exit;
pub mod journal;
pub mod lock;
pub mod memory;
pub mod program;
pub mod reason;
pub mod sockets;
pub mod this;
pub mod units;
pub mod users;
