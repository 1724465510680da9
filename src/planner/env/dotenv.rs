//! `.env` for Node, which has two readers that differ in details: `util.parseEnv` (`node --env-file`) and the package
//! dotenv. A value is written in the first quoting with which both read it unchanged; if there is none, it is left out.
//!
//! A third kind (dotenv-expand, and in it Next.js and Vite) replaces `$NAME` in every quoting, and then also changes the
//! variable that the process had already. What escapes the `$` for it is a part of the value for the other two, so a
//! value with a `$` is left out.

use super::{Dialect, IfUncarried, of_lines};
use crate::observe::secrets::{Variables, is_name};
use crate::secret::Secret;

pub const NODE: Dialect =
    Dialect { name: "node", file: ".env", write, read, uncarried, if_uncarried: IfUncarried::LeaveOut };

/// Without quotes first, because the simplest readers do not understand quotes.
const QUOTES: [&str; 4] = ["", "'", "\"", "`"];

fn write(variables: &Variables, header: &str) -> (String, Variables, Vec<String>) {
    of_lines(variables, header, line)
}

/// Why the file cannot contain this variable. `None` if it can.
fn uncarried(key: &str, value: &Secret) -> Option<&'static str> {
    if line(key, value).is_some() {
        return None;
    }
    let value = value.expose();
    Some(match value {
        _ if key == "__proto__" => "is called __proto__, which JavaScript objects cannot have as a key",
        _ if value.contains('$') => "contains a $, which dotenv-expand, Next.js and Vite replace",
        _ if value.contains('\r') => {
            "contains a carriage return, which its readers drop or turn into a newline"
        }
        _ if QUOTES[1..].iter().all(|quote| value.contains(quote)) => {
            "contains all three kinds of quotes, and something for which it needs to be quoted (a #, a newline, a \
             blank at an end, a quote in front)"
        }
        _ if value.ends_with('\\') => {
            "ends with a backslash, and contains something for which it needs to be quoted (a #, a newline, a blank \
             or a quote in front)"
        }
        _ => {
            "contains a backslash, ' and `, and something for which it needs to be quoted (a #, a newline, a blank at an end)"
        }
    })
}

fn line(key: &str, value: &Secret) -> Option<String> {
    let mut alone = Variables::default();
    alone.insert(key, value.clone());
    QUOTES.iter().find_map(|quote| {
        let line = format!("{key}={quote}{}{quote}\n", value.expose());
        (read(&line).as_ref() == Some(&alone)).then_some(line)
    })
}

/// A model of all readers: the variables that all read. `None` if they differ, or if the result may depend on later
/// lines of the file.
pub fn read(text: &str) -> Option<Variables> {
    // One reader drops carriage returns, the other turns them into newlines.
    if text.contains(['\r', '\0']) {
        return None;
    }
    let mut variables = Variables::default();
    let mut rest = text;
    while !rest.is_empty() {
        if rest.starts_with('#') {
            let (comment, after) = rest.split_once('\n')?;
            rest = (!comment.contains(ends_js_line)).then_some(after)?;
            continue;
        }
        let (key, after) = rest.split_once('=')?;
        // An assignment to __proto__ adds no key to a JavaScript object: the variable would be lost.
        if !is_name(key) || key == "__proto__" {
            return None;
        }
        let (value, after) = value(after)?;
        rest = after;
        // One reader replaces it and what follows.
        if value.contains('$') {
            return None;
        }
        if variables.insert(key, Secret::new(value)).is_some() {
            return None;
        }
    }
    Some(variables)
}

/// The value at the start of `text`, and the text after its line.
fn value(text: &str) -> Option<(&str, &str)> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"' | '`')) else {
        return text.split_once('\n').filter(|(value, _)| is_bare(value));
    };
    let (value, after) = text[1..].split_once(quote)?;
    // dotenv takes a backslash before the closing quote for an escape if another quote follows later. In double quotes,
    // both readers replace `\n`, and one of them `\r`.
    if value.ends_with('\\') || (quote == '"' && value.contains('\\')) {
        return None;
    }
    Some((value, after.strip_prefix('\n')?))
}

/// Whether both readers read the value unchanged without quotes. `#` starts a comment, JavaScript's `trim()` removes
/// blanks at both ends, and U+2028 ends a line. An empty value needs quotes: after `KEY=` one reader reads the next
/// line.
fn is_bare(value: &str) -> bool {
    let edge = |c: char| c.is_whitespace() || c == '\u{feff}';
    !value.is_empty()
        && !value.starts_with(edge)
        && !value.ends_with(edge)
        && !value.contains('#')
        && !value.contains(ends_js_line)
}

fn ends_js_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}
