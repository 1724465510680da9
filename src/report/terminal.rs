//! Prints to standard output and standard error. A closed pipe is not an error: a reader that went away must not end a
//! run. All text is escaped, because it may contain terminal sequences.

use std::io::{ErrorKind, Write};

use crate::error::{Coded, Result};

/// Prints a text with its newline to standard output.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(plain(text).as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.doing(|| "writing to standard output".to_owned()),
    }
}

/// Prints a line to standard output. Returns whether another process still reads it.
pub fn print_line(line: &str) -> bool {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", plain(line)).and_then(|()| stdout.flush()).is_ok()
}

/// Prints a line to standard error; errors are ignored.
pub fn tell(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{}", plain(&line.to_string()));
}

/// Escapes control characters and those that change the writing direction: a repository or server could forge output
/// with them. The escapes are JSON's, so that JSON stays valid.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => plain.push(c),
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                plain.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c if c.is_control() => plain.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => plain.push(c),
        }
    }
    plain
}

/// Moves the cursor to the beginning of the line, and erases the line.
const CLEAR: &str = "\r\u{1b}[K";
/// Columns: some terminals report a width of 0.
const NARROWEST: usize = 20;

/// A line of standard error that is rewritten in place, below the lines that stay. Dropping it erases the line.
#[derive(Default)]
pub struct StatusLine {
    shown: bool,
}

impl StatusLine {
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

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The text, cut to one row, because `CLEAR` cannot erase a wrapped line; other characters than printable ASCII become
/// `?`.
fn fit(line: &str, width: usize) -> String {
    // Some terminals wrap when the last column is used.
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
    fn text_cannot_control_a_terminal() {
        let bad = "a\u{1b}]0;x\u{7}\rb\u{9b}2Jc\u{202e}d\u{61c}";
        assert_eq!(plain(bad), "a\\u001b]0;x\\u0007\\u000db\\u009b2Jc\\u202ed\\u061c");
        assert_eq!(plain("one\ttwo\nü €"), "one\ttwo\nü €");
        let json = serde_json::Value::from(bad).to_string();
        assert_eq!(serde_json::from_str::<String>(&plain(&json)).unwrap(), bad);
    }

    #[test]
    fn a_living_line_is_one_row_of_ascii() {
        assert_eq!(fit("short", 80), "short");
        assert_eq!(fit(&"x".repeat(100), 40).len(), 39);
        assert!(fit(&"x".repeat(100), 3).len() < NARROWEST);
        assert_eq!(fit("a\u{1b}[2Jb\rc\u{202e}d\nsecond", 80), "a?[2Jb?c?d");
    }
}
