//! `.env` for python-dotenv, which replaces `${NAME}` with every kind of quotes and turns carriage returns into
//! newlines. Values with `${` or a carriage return are left out.

use super::{Dialect, IfUncarried, of_lines};
use crate::observe::secrets::{Variables, is_name};
use crate::secret::Secret;

pub const PYTHON: Dialect =
    Dialect { name: "python", file: ".env", write, read, uncarried, if_uncarried: IfUncarried::LeaveOut };

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
        _ if value.contains('\r') => "contains a carriage return, which its reader turns into a newline",
        _ if value.contains("${") => "contains ${, which its reader replaces",
        _ => {
            "ends with a backslash, and contains something for which it needs to be quoted (a newline, a #, a blank or a \
             quote at an end)"
        }
    })
}

/// Without quotes if python-dotenv then reads the value unchanged, else in single quotes. In these, a backslash at
/// the end would escape the closing quote.
fn line(key: &str, value: &Secret) -> Option<String> {
    let text = value.expose();
    let mut alone = Variables::default();
    alone.insert(key, value.clone());
    let quoted = text.replace('\\', "\\\\").replace('\'', "\\'");
    [format!("{key}={text}\n"), format!("{key}='{quoted}'\n")]
        .into_iter()
        .find(|line| read(line).as_ref() == Some(&alone))
}

/// A model of python-dotenv: the variables that it reads. `None` if that is uncertain, or may depend on later lines.
pub fn read(text: &str) -> Option<Variables> {
    if text.contains(['\r', '\0']) || text.contains("${") {
        return None;
    }
    let mut variables = Variables::default();
    let mut rest = text;
    while !rest.is_empty() {
        if rest.starts_with('#') {
            rest = rest.split_once('\n')?.1;
            continue;
        }
        let (key, after) = rest.split_once('=')?;
        if !is_name(key) {
            return None;
        }
        let (value, after) = match after.strip_prefix('\'') {
            Some(after) => quoted(after)?,
            None => {
                let (value, after) = after.split_once('\n')?;
                is_bare(value).then(|| (value.to_owned(), after))?
            }
        };
        rest = after;
        if variables.insert(key, Secret::new(value)).is_some() {
            return None;
        }
    }
    Some(variables)
}

/// The value up to its closing quote, which is the first one without a backslash before it, and the text after its
/// line.
fn quoted(text: &str) -> Option<(String, &str)> {
    let close = text.match_indices('\'').map(|(at, _)| at).find(|at| !text[..*at].ends_with('\\'))?;
    let after = text[close + 1..].strip_prefix('\n')?;
    let mut value = String::new();
    let mut characters = text[..close].chars();
    while let Some(c) = characters.next() {
        match (c, characters.as_str().chars().next()) {
            ('\\', Some(escaped @ ('\\' | '\''))) => {
                value.push(escaped);
                characters.next();
            }
            _ => value.push(c),
        }
    }
    // A backslash before the closing quote would escape it.
    (!text[..close].ends_with('\\')).then_some((value, after))
}

/// Whether python-dotenv reads the value unchanged without quotes. It removes blanks at both ends, and a `#` after a
/// blank starts a comment. An empty value is written with quotes.
fn is_bare(value: &str) -> bool {
    let blank = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    !value.is_empty()
        && !value.starts_with(|c| blank(c) || matches!(c, '\'' | '"' | '#'))
        && !value.ends_with(blank)
        && !value.contains('\n')
        && !value.split('#').rev().skip(1).any(|before| before.ends_with(blank))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &str) -> Option<String> {
        line("A", &Secret::new(value))
    }

    #[test]
    fn values_are_written_in_the_first_form_that_is_read_back_unchanged() {
        for (value, wanted) in [
            ("plain", "A=plain\n"),
            ("$HOME $(id)", "A=$HOME $(id)\n"),
            ("C:\\new\\table\\", "A=C:\\new\\table\\\n"),
            ("", "A=''\n"),
            ("a #b", "A='a #b'\n"),
            ("it's\n\"x\"", "A='it\\'s\n\"x\"'\n"),
            ("a\\b #", "A='a\\\\b #'\n"),
        ] {
            assert_eq!(written(value).as_deref(), Some(wanted), "{value:?}");
        }
    }

    #[test]
    fn values_that_the_reader_would_change_are_left_out_with_a_reason() {
        for (value, says) in
            [("a${HOME}", "${"), ("a\r", "carriage return"), (" \\", "backslash"), ("a\n\\", "backslash")]
        {
            assert_eq!(written(value), None, "{value:?}");
            assert!(uncarried("A", &Secret::new(value)).unwrap().contains(says), "{value:?}");
        }
    }

    #[test]
    fn the_model_rejects_what_is_uncertain() {
        for text in [
            "A=\n",
            "A= a\n",
            "A=a \n",
            "A=a #b\n",
            "A='a\\'\n",
            "A=\"a\"\n",
            "A=${B}\n",
            "A='a' b\n",
            "A=1",
            "A=1\nA=2\n",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
