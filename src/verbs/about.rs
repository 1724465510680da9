//! `bootagent completions` and `bootagent man`: print what a shell and man need to know of the command line.

use crate::cli::{self, CompletionsArgs};
use crate::report::print;

pub fn completions(args: &CompletionsArgs) -> u8 {
    printed(&cli::completions(args.shell))
}

pub fn manual() -> u8 {
    printed(&cli::manual())
}

fn printed(text: &str) -> u8 {
    match print(text) {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}
