//! Who keeps the service running. Each supervisor turns a recipe into what it needs on the machine.

pub mod systemd;
