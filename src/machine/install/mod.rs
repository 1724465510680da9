//! What a release needs: packages, runtimes, its checked-out and installed files, and the records that it is whole.

pub mod aside;
pub mod cache;
pub mod diagnose;
pub mod evaluate;
pub mod kept;
pub mod packages;
pub mod releases;
pub mod runtimes;
pub mod tools;
pub mod work;
