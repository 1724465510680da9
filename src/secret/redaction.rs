//! Takes known values out of text that others wrote: what a crashing service said last, mostly.
//!
//! It knows the forms in which programs print a value: as it is, line by line, escaped for JSON, URLs,
//! HTML or a shell, as base64 wherever it stands in there, and as hex. It cannot know what a program makes
//! of a value beyond that: of such text one line may become a cause, which everybody may read. The rest goes
//! to root's own file and journal, and to whoever started the run.

use std::fmt::{self, Write};

use aws_smithy_types::base64;

use super::{Secret, plain, without_userinfo};

/// Below this a value is too common to be taken out wherever it stands: `true`, `1`, `main`.
const SHORT: usize = 6;
/// A form that would hit by chance is none.
const SHORTEST_FORM: usize = 6;
/// At the end of a line that was cut, this much of a form counts as the form.
const SHORTEST_CUT: usize = 3;
/// How text ends that was cut.
pub const CUT: char = '…';

/// The values that must not be seen, by the names that are shown in their place.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Longest first: one may be a part of another.
    forms: Vec<(String, Secret)>,
    /// Taken out only of lines that name them.
    short: Vec<(String, Secret)>,
}

impl Redaction {
    pub fn new<'a>(values: impl IntoIterator<Item = (&'a str, &'a Secret)>) -> Self {
        let mut redaction = Redaction::default();
        for (name, value) in values {
            let text = value.expose();
            match text.chars().count() {
                0 => {}
                1..SHORT => redaction.short.push((name.to_owned(), value.clone())),
                _ => redaction.forms.extend(forms(text).into_iter().map(|form| (name.to_owned(), form))),
            }
        }
        redaction.forms.sort_by_key(|(_, form)| std::cmp::Reverse(form.expose().len()));
        redaction
    }

    /// The text with `[NAME]` where a value was.
    pub fn hide(&self, text: &str) -> String {
        let (text, cut) = match text.strip_suffix(CUT) {
            Some(text) => (text, true),
            None => (text, false),
        };
        let met: Vec<&(String, Secret)> =
            self.forms.iter().filter(|(_, form)| text.contains(form.expose())).collect();
        let mut hidden = String::with_capacity(text.len());
        let mut rest = text;
        'text: while let Some(next) = rest.chars().next() {
            for (name, form) in &met {
                if let Some(after) = rest.strip_prefix(form.expose()) {
                    let _ = write!(hidden, "[{name}]");
                    rest = after;
                    continue 'text;
                }
            }
            let begins = |(_, form): &&(String, Secret)| form.expose().starts_with(rest);
            if cut
                && rest.len() >= SHORTEST_CUT
                && let Some((name, _)) = self.forms.iter().find(begins)
            {
                let _ = write!(hidden, "[{name}]");
                break;
            }
            hidden.push(next);
            rest = &rest[next.len_utf8()..];
        }
        for (name, value) in self.short.iter().filter(|(name, _)| text.contains(name.as_str())) {
            hidden = without_word(&hidden, value.expose(), name);
        }
        if cut {
            hidden.push(CUT);
        }
        hidden
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redaction of {} forms", self.forms.len() + self.short.len())
    }
}

/// Every occurrence that is not a part of a longer word.
fn without_word(text: &str, word: &str, name: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut before = None::<char>;
    while let Some(at) = rest.find(word) {
        let (start, after) = (&rest[..at], &rest[at + word.len()..]);
        let left = start.chars().next_back().or(before);
        let alone = [left, after.chars().next()].iter().all(|c| !c.is_some_and(char::is_alphanumeric));
        out.push_str(start);
        match alone {
            true => out.extend(["[", name, "]"]),
            false => out.push_str(word),
        }
        before = word.chars().next_back();
        rest = after;
    }
    out + rest
}

fn forms(value: &str) -> Vec<Secret> {
    let mut forms = Vec::new();
    let mut add = |form: String| {
        if form.chars().count() >= SHORTEST_FORM {
            forms.push(Secret::new(form));
        }
    };
    // Output comes line by line, without control characters and without blanks at its ends.
    for text in value.lines().chain([value, value.trim()]) {
        let text = plain(text);
        // An address in it has lost what looks like its user by then, and could have kept half a password.
        let cut = Some(without_userinfo(&text)).filter(|cut| cut.contains('@'));
        cut.into_iter().for_each(&mut add);
        for escaped in [json(&text), url(&text, true), url(&text, false), html(&text), text.clone()] {
            add(escaped.replace('\'', "\\'"));
            add(escaped.replace('\'', "'\\''"));
            add(escaped);
        }
        add(url(&text, true).replace("%20", "+"));
    }
    add(json(value));
    add(url(value, true));
    add(url(value, false));
    for form in base64_forms(value.as_bytes()) {
        add(form.replace('+', "-").replace('/', "_"));
        add(form);
    }
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    add(hex.to_uppercase());
    add(hex);
    forms.sort_by(|a, b| a.expose().cmp(b.expose()));
    forms.dedup();
    forms
}

fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// Everything but what never needs it, as `encodeURIComponent` does.
fn url(text: &str, upper: bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let _ = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => write!(out, "{}", byte as char),
            b'-' | b'_' | b'.' | b'~' | b'!' | b'*' | b'\'' | b'(' | b')' => write!(out, "{}", byte as char),
            _ if upper => write!(out, "%{byte:02X}"),
            _ => write!(out, "%{byte:02x}"),
        };
        out
    })
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What of the value's base64 does not depend on what stands around it, at each of the three ways in which
/// it may come to stand (`user:password`, say); and the whole of it alone.
fn base64_forms(bytes: &[u8]) -> Vec<String> {
    let mut forms = vec![base64::encode(bytes).trim_end_matches('=').to_owned()];
    for before in 0..3usize {
        let padded: Vec<u8> = std::iter::repeat_n(b'x', before).chain(bytes.iter().copied()).collect();
        let encoded = base64::encode(&padded);
        let start = (before * 8).div_ceil(6);
        let whole = padded.len() * 8 / 6;
        // A few characters alone would hit by chance.
        if whole > start + 8 {
            forms.push(encoded[start..whole].to_owned());
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[(&str, &str)]) -> Redaction {
        let secrets: Vec<(&str, Secret)> =
            values.iter().map(|(name, value)| (*name, Secret::new(*value))).collect();
        Redaction::new(secrets.iter().map(|(name, value)| (*name, value)))
    }

    #[test]
    fn values_are_replaced_by_their_names() {
        let hidden = of(&[("TOKEN", "hunter2!"), ("URL", "https://u:hunter2!@db/x"), ("EMPTY", "")]);
        for (text, shown) in [
            ("token is hunter2!", "token is [TOKEN]"),
            ("hunter2!hunter2!", "[TOKEN][TOKEN]"),
            ("connect to https://u:hunter2!@db/x failed", "connect to [URL] failed"),
            ("nothing here", "nothing here"),
            ("", ""),
        ] {
            assert_eq!(hidden.hide(text), shown);
        }
    }

    #[test]
    fn short_values_go_only_where_they_are_named() {
        let hidden = of(&[("PIN", "1234"), ("DEBUG", "true")]);
        assert_eq!(hidden.hide("PIN=1234 of 12345"), "PIN=[PIN] of 12345");
        assert_eq!(hidden.hide(r#"{"PIN":"1234"}"#), r#"{"PIN":"[PIN]"}"#);
        assert_eq!(hidden.hide("port 1234 is true"), "port 1234 is true");
    }

    #[test]
    fn a_key_of_many_lines_is_found_in_each() {
        let pem = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n";
        let hidden = of(&[("KEY", pem)]);
        for line in pem.lines() {
            assert_eq!(hidden.hide(&format!("  {line}")), "  [KEY]");
        }
        assert_eq!(hidden.hide(&serde_json::to_string(pem).unwrap()), "\"[KEY]\"");
    }

    /// As the lines of others are made plain before anything is looked for in them.
    #[test]
    fn what_making_a_line_plain_takes_out_of_a_value_does_not_save_it() {
        for value in [
            "redis://:p@ss/word-hunter2@db.example",
            "hunter2\u{200e}hunter2",
            "\u{202e}hunter2\u{61c}hunter2",
            "hunter2\u{1b}[31mhunter2",
        ] {
            let line = without_userinfo(&plain(&format!("Invalid URL: '{value}'")));
            assert_eq!(of(&[("V", value)]).hide(&line), "Invalid URL: '[V]'");
        }
        let address = of(&[("V", "https://u:hunter2@db.example")]);
        assert_eq!(address.hide("no route to https://db.example"), "no route to https://db.example");
    }

    #[test]
    fn what_was_cut_shows_no_beginning() {
        let hidden = of(&[("TOKEN", "abcdefghijkl")]);
        assert_eq!(hidden.hide("the token is abcdefg…"), "the token is [TOKEN]…");
        assert_eq!(hidden.hide("the token is abcdefg"), "the token is abcdefg", "it was not cut");
    }

    #[test]
    fn one_values_name_is_no_text_for_another() {
        let hidden = of(&[("A", "SECRET_B"), ("SECRET_B", "aaaaaaaa")]);
        assert_eq!(hidden.hide("aaaaaaaa SECRET_B"), "[SECRET_B] [A]");
    }

    #[test]
    fn it_shows_nothing_itself() {
        assert_eq!(format!("{:?}", of(&[("PIN", "1234")])), "Redaction of 1 forms");
    }

    /// Eight ways in which programs print a value.
    fn printed(value: &str, way: usize, around: &str) -> String {
        match way {
            0 => format!("{around}{value}{around}"),
            1 => serde_json::json!({ "a": format!("{around}{value}") }).to_string(),
            2 => base64::encode(format!("{around}{value}{around}")),
            3 => base64::encode(value).replace('+', "-").replace('/', "_"),
            4 => url(value, true),
            5 => url(value, false),
            6 => value.bytes().map(|byte| format!("{byte:02x}")).collect(),
            _ => format!("'{}'", value.replace('\'', "'\\''")),
        }
    }

    proptest! {
        #[test]
        fn no_way_of_printing_shows_a_value(
            value in "[a-zA-Z0-9+/=%&<>\"' \\\\${}äö-]{12,60}", way in 0usize..8, around in "[a-z:]{0,4}",
        ) {
            let shown = of(&[("V", &value)]).hide(&printed(&value, way, &around));
            prop_assert!(shown.contains("[V]"), "{shown}");
            prop_assert!(!shown.contains(&value));
        }

        #[test]
        fn other_text_stays(text in "[A-Z ]{0,80}") {
            prop_assert_eq!(of(&[("V", "abcdef123456")]).hide(&text), text);
        }
    }
}
