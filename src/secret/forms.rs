//! The forms in which programs print a value: as it is, line by line, escaped for JSON, URLs, HTML or a shell, as base64
//! wherever it stands in there, and as hex; and likewise what is a secret within it: the strings of a value that is JSON,
//! the password of an address, whatever follows `password=`.

use std::fmt::Write;

use data_encoding::BASE64;

use super::foreign::clean;
use super::ordinary::{Reach, looks_like_a_token, reach, sounds_secret};
use super::{Secret, without_userinfo};

/// A form that would hit by chance is none.
const SHORTEST: usize = 6;
/// JSON in a string of JSON, and so on.
const DEEPEST: usize = 4;
/// Of one value: nothing that a service is given has more, and each makes some twenty forms.
const MOST_ADDRESSES: usize = 64;
const LONGEST_ADDRESS: usize = 4 << 10;

/// One text to be hidden, and what is shown in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Form {
    /// The variable that it belongs to.
    pub name: String,
    /// The name nearest to it: the variable's own, or of the JSON member that holds it.
    pub key: String,
    pub reach: Reach,
    pub text: Secret,
}

pub fn of(name: &str, value: &Secret) -> Vec<Form> {
    let mut forms = Forms { name, all: Vec::new() };
    forms.value(name, value.expose(), 0);
    let mut all = forms.all;
    // The widest reach of equal ones comes first, and stays.
    all.sort_by(|a, b| (a.text.expose(), a.reach).cmp(&(b.text.expose(), b.reach)));
    all.dedup_by(|a, b| a.text == b.text && (a.key == b.key || b.reach == Reach::Anywhere));
    all
}

struct Forms<'a> {
    name: &'a str,
    all: Vec<Form>,
}

impl Forms<'_> {
    fn add(&mut self, key: &str, reach: Reach, text: String) {
        let shortest = if reach == Reach::Named { 1 } else { SHORTEST };
        if text.chars().count() >= shortest {
            let (name, key) = (self.name.to_owned(), key.to_owned());
            self.all.push(Form { name, key, reach, text: Secret::new(text) });
        }
    }

    fn value(&mut self, key: &str, value: &str, depth: usize) {
        self.written(key, value);
        self.addresses(value);
        self.assignments(value);
        if depth < DEEPEST {
            self.json(key, value, depth + 1);
        }
    }

    fn written(&mut self, key: &str, value: &str) {
        let whole = reach(key, value);
        // Output comes line by line, without control characters and without blanks at its ends.
        for text in value.lines().flat_map(|line| [line, line.trim()]).chain([value, value.trim()]) {
            let reach = if text == value { whole } else { reach(key, text) };
            let text = clean(text);
            match reach {
                Reach::Named if text.chars().count() < SHORTEST && whole != Reach::Named => {}
                Reach::Anywhere => self.escaped(key, &text),
                _ => self.add(key, reach, text),
            }
        }
        if whole != Reach::Named {
            self.encoded(key, value);
        }
    }

    fn escaped(&mut self, key: &str, text: &str) {
        // Programs, too, cut what looks like a user out of an address, and may keep half a password.
        let cut = Some(without_userinfo(text)).filter(|cut| cut.contains('@'));
        let as_url = url(text, true).replace("%20", "+");
        for form in [Some(as_url), cut].into_iter().flatten() {
            self.add(key, Reach::Anywhere, form);
        }
        for escaped in [json(text), url(text, true), url(text, false), html(text), text.to_owned()] {
            self.add(key, Reach::Anywhere, escaped.replace('\'', "\\'"));
            self.add(key, Reach::Anywhere, escaped.replace('\'', "'\\''"));
            self.add(key, Reach::Anywhere, escaped);
        }
    }

    /// What no ordinary word looks like, however ordinary the value is.
    fn encoded(&mut self, key: &str, value: &str) {
        for form in [json(value), url(value, true), url(value, false)] {
            if form != value {
                self.add(key, Reach::Anywhere, form);
            }
        }
        for form in base64_forms(value.as_bytes()) {
            self.add(key, Reach::Anywhere, form.replace('+', "-").replace('/', "_"));
            self.add(key, Reach::Anywhere, form);
        }
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.add(key, Reach::Anywhere, hex.to_uppercase());
        self.add(key, Reach::Anywhere, hex);
    }

    fn json(&mut self, key: &str, value: &str, depth: usize) {
        if value.trim_start().starts_with(['{', '['])
            && let Ok(json) = serde_json::from_str(value)
        {
            self.members(key, &json, depth);
        }
    }

    /// A list's strings go by the list's name.
    fn members(&mut self, key: &str, json: &serde_json::Value, depth: usize) {
        use serde_json::Value;
        match json {
            Value::String(text) => self.value(key, text, depth),
            Value::Number(number) => self.value(key, &number.to_string(), depth),
            Value::Array(list) => list.iter().for_each(|one| self.members(key, one, depth)),
            Value::Object(members) => members.iter().for_each(|(key, one)| self.members(key, one, depth)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// `postgres://user:p%40ss@db/x`: the password as it is written and as it is sent.
    fn addresses(&mut self, value: &str) {
        for (at, mark) in value.match_indices("://").take(MOST_ADDRESSES) {
            let rest = &value[at + mark.len()..];
            let rest = &rest[..rest.floor_char_boundary(LONGEST_ADDRESS)];
            let ends =
                |ends: &str| rest.find(|c: char| c.is_whitespace() || ends.contains(c)).unwrap_or(rest.len());
            // Readers differ about a password with a slash or a question mark in it.
            for authority in [&rest[..ends("/?#'\"<>")], &rest[..ends("'\"<>")]] {
                let Some((userinfo, _)) = authority.rsplit_once('@') else { continue };
                let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
                for user in [Some(user.to_owned()), decoded(user)].into_iter().flatten() {
                    if looks_like_a_token(&user) {
                        self.written("user", &user);
                    }
                }
                for password in [Some(password.to_owned()), decoded(password)].into_iter().flatten() {
                    self.written("password", &password);
                }
            }
        }
    }

    /// `?sslkey=...`, `Server=db;Password=...`, `host=db password=...`.
    fn assignments(&mut self, value: &str) {
        for assignment in value.split(|c: char| c.is_whitespace() || "?&;".contains(c)) {
            let Some((key, text)) = assignment.split_once('=').filter(|(key, _)| sounds_secret(key)) else {
                continue;
            };
            for text in [Some(text.to_owned()), decoded(text)].into_iter().flatten() {
                self.written(key, text.trim_matches(['\'', '"']));
            }
        }
    }
}

/// What `%40` and its like stand for; `None` if there is none.
fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    (bytes != text.as_bytes()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// Everything but what never needs it, as `encodeURIComponent` does.
pub fn url(text: &str, upper: bool) -> String {
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
    let mut forms = vec![BASE64.encode(bytes).trim_end_matches('=').to_owned()];
    for before in 0..3usize {
        let padded: Vec<u8> = std::iter::repeat_n(b'x', before).chain(bytes.iter().copied()).collect();
        let encoded = BASE64.encode(&padded);
        let start = (before * 8).div_ceil(6);
        let whole = padded.len() * 8 / 6;
        // A few characters alone would hit by chance.
        if whole > start + 8 {
            forms.push(encoded[start..whole].to_owned());
        }
    }
    forms
}
