//! Parses a secret that is dotenv text: `KEY=value` lines, as Node's package dotenv reads them.
//!
//! It accepts blank lines, `# comments`, `export `, blanks around `=`, and CRLF. Values are bare, or in `'…'`, `"…"` or
//! `` `…` ``, which may span lines; only in `"…"` are `\n` and `\r` a line feed and a carriage return. Text that dotenv
//! silently cuts, or that other readers interpret differently, is an error: a `#` inside a bare value, a quote that is
//! not closed or is followed by more text, a line without `=`, `\"` or `\\` in double quotes.

use zeroize::Zeroizing;

use super::names::no_name;
use crate::secret::Secret;

/// A token in base64 may end with `=` or `==`: without this error, messages would show it as a name.
const BARE: &str = "not KEY=value, but perhaps a bare token";

fn ends_as_base64(right: &str) -> bool {
    let rest = right.trim_start_matches('=');
    let rest_of_line = rest.trim_start();
    rest.len() < right.len() && (rest_of_line.is_empty() || rest_of_line.starts_with('#'))
}

/// The variables in order. Duplicates are kept, for the caller to find.
pub(super) fn read(text: &str) -> Result<Vec<(String, Secret)>, String> {
    let text = Zeroizing::new(text.replace("\r\n", "\n"));
    let text = Zeroizing::new(text.replace('\r', "\n"));
    let mut lines = Lines { rest: &text, number: 1 };
    let mut pairs = Vec::new();
    while !lines.rest.is_empty() {
        let here = lines.number;
        if let Some(pair) = lines.pair().map_err(|what| format!("line {here}: {what}"))? {
            pairs.push(pair);
        }
    }
    match pairs.as_slice() {
        [] => Err("it has no variable".to_owned()),
        [(_, value)] if value.expose().is_empty() => Err(format!("it is one line, and that is {BARE}")),
        _ => Ok(pairs),
    }
}

struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    /// Reads the variable that begins at this line, if there is one; `rest` is then at the beginning of a line again.
    fn pair(&mut self) -> Result<Option<(String, Secret)>, String> {
        let line = self.rest.split('\n').next().unwrap_or_default();
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            self.skip(line.len());
            return Ok(None);
        }
        let Some((left, right)) = line.split_once('=') else {
            return Err("there is no = in it (a value of several lines must be in quotes)".to_owned());
        };
        let key = left.trim();
        let key = key.strip_prefix("export").filter(|k| k.starts_with([' ', '\t'])).unwrap_or(key).trim();
        if ends_as_base64(right) {
            return Err(format!("it is {BARE}"));
        }
        if let Some(why) = no_name(key) {
            return Err(format!("the text before = {why}"));
        }
        let blanks = right.len() - right.trim_start().len();
        self.rest = &self.rest[left.len() + 1 + blanks..];
        let value = match self.rest.chars().next() {
            Some(quote @ ('\'' | '"' | '`')) => self.quoted(quote),
            _ => self.bare(),
        };
        let value = value.map_err(|what| format!("{key} {what}"))?;
        Ok(Some((key.to_owned(), Secret::new(value))))
    }

    fn bare(&mut self) -> Result<String, &'static str> {
        let line = self.rest.split('\n').next().unwrap_or_default();
        let (value, comment) = match line.find('#') {
            Some(at) => line.split_at(at),
            None => (line, ""),
        };
        // `KEY= # comment` is empty. `KEY=#1` and `KEY=a#1` may be passwords, which dotenv would cut at the #.
        let blank_before = value.ends_with([' ', '\t']) || (value.is_empty() && comment.starts_with("# "));
        if !comment.is_empty() && !blank_before {
            return Err("has a # in its value: quote the value, or put a blank before the comment");
        }
        self.skip(line.len());
        Ok(value.trim().to_owned())
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        let body = &self.rest[1..];
        let Some(end) = body.find(quote) else { return Err("has a quote that is never closed") };
        let (value, after) = (&body[..end], &body[end + 1..]);
        if value.ends_with('\\') {
            return Err(
                "has a backslash before its closing quote, which readers interpret differently: use other quotes",
            );
        }
        let tail = after.split('\n').next().unwrap_or_default();
        if !tail.trim().is_empty() && !tail.trim_start().starts_with('#') {
            return Err("has text after its closing quote");
        }
        let value = if quote == '"' { unescape(value)? } else { value.to_owned() };
        self.skip(1 + end + 1 + tail.len());
        Ok(value)
    }

    /// Skips `length` bytes and the newline after them.
    fn skip(&mut self, length: usize) {
        let (gone, rest) = self.rest.split_at(length);
        self.number += gone.matches('\n').count() + 1;
        self.rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
}

/// Replaces `\n` and `\r` in double quotes; dotenv keeps every other backslash. `\\n` is refused: dotenv reads it as
/// backslash and newline, other readers as backslash and `n`.
fn unescape(value: &str) -> Result<String, &'static str> {
    if value.contains("\\\\") {
        return Err("has \\\\ in double quotes, which readers interpret differently: use single quotes");
    }
    Ok(value.replace("\\n", "\n").replace("\\r", "\r"))
}
