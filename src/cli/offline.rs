//! The arguments of `validate` and `init`, which look at a working tree. The `///` of a field is its text in the help.

use std::path::PathBuf;

use clap::Args;

use super::Output;

#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The repository's directory
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// Exit with 4 instead of 0 if there is a warning
    #[arg(long)]
    pub strict: bool,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The repository's directory
    #[arg(default_value = ".")]
    pub path: PathBuf,
    /// Print the file instead of writing it
    #[arg(long)]
    pub print: bool,
}
