//! What people read. A reader that went away is no failure of ours, and never ends a run.

use std::io::{ErrorKind, Write};

use crate::error::{Coded, Result};

/// An answer, on standard output, newline included.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.doing(|| "writing to standard output".to_owned()),
    }
}

/// A line on standard error, for whoever is there.
pub fn tell(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
