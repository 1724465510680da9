//! Processes of this machine: programs that bootagent runs, systemd's units and journal, listening sockets, system
//! users, and bootagent's own process.

pub mod boot_times;
mod bus;
pub mod cgroup;
pub mod exit;
pub mod journal;
pub mod lock;
pub mod log;
pub mod memory;
pub mod program;
pub mod reason;
pub mod sockets;
pub mod this;
mod unit_state;
pub mod units;
pub mod users;
pub mod watcher;
