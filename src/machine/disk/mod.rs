//! Files, directories and links by path: looked at, made and removed, and nothing about what is in them.

pub mod adopt;
pub mod files;
pub mod owned;
pub mod path_at;
pub mod remove;
pub mod room;
