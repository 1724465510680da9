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

/// Back to the line's start, and nothing behind it.
const CLEAR: &str = "\r\u{1b}[K";
const NARROWEST: usize = 20;

/// One line of standard error that is rewritten in place, below all that stays. Gone when dropped.
#[derive(Default)]
pub struct LivingLine {
    shown: bool,
}

impl LivingLine {
    pub fn show(&mut self, line: &str) {
        let width =
            terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| usize::from(width.0));
        let _ = write!(std::io::stderr(), "{CLEAR}{}", fit(line, width));
        self.shown = true;
    }

    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr(), "{CLEAR}");
        }
    }
}

impl Drop for LivingLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// One row at most: what wraps cannot be taken back. Others' words cannot move the cursor.
fn fit(line: &str, width: usize) -> String {
    // The last column makes some terminals wrap.
    let width = width.max(NARROWEST) - 1;
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let one: String = line.lines().next().unwrap_or_default().chars().map(plain).collect();
    match one.len() > width {
        true => format!("{}...", &one[..width - 3]),
        false => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_line_stays_one_row_and_plain() {
        assert_eq!(fit("short", 80), "short");
        assert_eq!(fit(&"x".repeat(100), 40).len(), 39);
        assert!(fit(&"x".repeat(100), 3).len() < NARROWEST);
        assert_eq!(fit("a\u{1b}[2Jb\rc\u{202e}d\nsecond", 80), "a?[2Jb?c?d");
    }
}
