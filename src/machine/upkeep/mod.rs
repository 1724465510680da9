//! What looks after the machine rather than a service: its swap file, its journal, and SELinux's labels.

pub mod journal;
pub mod labels;
pub mod swap;
