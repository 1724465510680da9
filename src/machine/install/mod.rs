//! Installs what a release needs (OS packages, runtimes, tools, its files), and keeps the records of finished releases.

pub mod aside;
pub mod bundle;
pub mod cache;
pub mod diagnose;
pub mod evaluate;
pub mod given;
pub mod kept;
pub mod packages;
pub mod releases;
pub mod runtimes;
pub mod site;
pub mod tools;
pub mod work;
pub mod working_tree;
