//! The words of a command line that is one simple command, each with its place in the line.

use std::ops::Range;

use crate::planner::runtime::shell;

pub struct Words<'a> {
    line: &'a str,
    ranges: Vec<Range<usize>>,
}

impl<'a> Words<'a> {
    /// None if the line is more than one simple command.
    pub fn of(line: &'a str) -> Option<Words<'a>> {
        Some(Words { line, ranges: shell::words(line)? })
    }

    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// A word without the quotes around it; empty behind the end.
    pub fn text(&self, at: usize) -> &'a str {
        let raw = self.raw(at);
        let quoted = ['\'', '"'].into_iter().find_map(|quote| raw.strip_prefix(quote)?.strip_suffix(quote));
        quoted.filter(|inner| !inner.contains(['\'', '"', '\\'])).unwrap_or(raw)
    }

    pub fn raw(&self, at: usize) -> &'a str {
        self.ranges.get(at).map_or("", |range| &self.line[range.clone()])
    }

    /// The line from a word on.
    pub fn from(&self, at: usize) -> &'a str {
        self.ranges.get(at).map_or("", |range| self.line[range.start..].trim_end())
    }
}

/// The assignments from a word on, and the place of the first word behind them. A value that a shell must expand ends them.
pub fn assignments(words: &Words, mut at: usize) -> (Vec<(String, String)>, usize) {
    let mut found = Vec::new();
    while let Some((name, value)) = shell::assignment(words.raw(at)) {
        let inner = ['\'', '"'].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
        let value = inner.unwrap_or(value);
        if value.contains(['$', '`', '\\', '"', '\'']) {
            break;
        }
        found.push((name.to_owned(), value.to_owned()));
        at += 1;
    }
    (found, at)
}

/// The program of a line of one program, and the word behind it.
pub fn program(line: &str) -> Option<(&str, &str)> {
    let words = Words::of(line)?;
    let (_, at) = assignments(&words, 0);
    let at = if words.text(at) == "exec" { at + 1 } else { at };
    // AdonisJS's program is a file of its own.
    let at = if words.text(at) == "node" && words.text(at + 1) == "ace" { at + 1 } else { at };
    Some((words.text(at), words.text(at + 1)))
}
