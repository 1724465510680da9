//! Checks, creates and removes files, directories and links by path. Knows nothing about their content.

pub mod adopt;
pub mod bundles;
pub mod files;
pub mod give;
pub mod inside;
pub mod new_file;
pub mod owned;
pub mod path_at;
pub mod remove;
pub mod room;
pub mod same_file;
pub mod staging;
pub mod walk;
