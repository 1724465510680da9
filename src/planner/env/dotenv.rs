//! `.env` for node: `util.parseEnv` (`node --env-file`) and the dotenv package, which differ in the
//! details. A value is written in the first quoting that both read as it is; where none does, it is left
//! out.

use super::{Beyond, Dialect, of_lines};
use crate::observe::secrets::{Variables, is_name};
use crate::secret::Secret;

pub const NODE: Dialect =
    Dialect { name: "node", file: ".env", write, read, uncarried, beyond: Beyond::LeftOut };

/// Bare first: that is how people write such a file, and what the simplest readers understand.
const QUOTES: [&str; 4] = ["", "'", "\"", "`"];

fn write(variables: &Variables, header: &str) -> (String, Variables, Vec<String>) {
    of_lines(variables, header, line)
}

/// Why the file cannot hold this variable.
fn uncarried(key: &str, value: &Secret) -> Option<&'static str> {
    if line(key, value).is_some() {
        return None;
    }
    let value = value.expose();
    Some(match value {
        _ if key == "__proto__" => "is called __proto__, which no JavaScript object keeps",
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

/// The common ground of both readers: what this returns, both read. `None` wherever they differ, or
/// depend on what comes later in the file.
pub fn read(text: &str) -> Option<Variables> {
    // Carriage returns are dropped by one reader and become newlines in the other.
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
        // Assigning to an object's __proto__ makes no entry: the variable would vanish.
        if !is_name(key) || key == "__proto__" {
            return None;
        }
        let (value, after) = value(after)?;
        rest = after;
        if variables.insert(key, Secret::new(value)).is_some() {
            return None;
        }
    }
    Some(variables)
}

/// The value at the start of `text`, and what follows its line.
fn value(text: &str) -> Option<(&str, &str)> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"' | '`')) else {
        return text.split_once('\n').filter(|(value, _)| is_bare(value));
    };
    let (value, after) = text[1..].split_once(quote)?;
    // dotenv takes a backslash before the closing quote for an escape if it finds another quote later;
    // in double quotes `\n` and, by one of them, `\r` would change.
    if value.ends_with('\\') || (quote == '"' && value.contains('\\')) {
        return None;
    }
    Some((value, after.strip_prefix('\n')?))
}

/// Unquoted: `#` starts a comment, blanks at the ends go (by JavaScript's idea of a blank), and a line
/// ends at U+2028, too. An empty value is left to the quotes: `KEY=` would look into the next line.
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
