//! Real parts for the tests: what stands on the other side of the network.

pub mod certificates;
pub mod git_server;
pub mod ssh_server;
pub mod upstream;
