//! Packages of the distribution: one file for each package manager.

mod apt;
mod dpkg;
mod repositories;

pub use apt::{check, install};
