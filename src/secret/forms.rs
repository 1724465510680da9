//! The forms in which programs print a secret value: unchanged, line by line, escaped for JSON, URLs, HTML or a shell,
//! as base64 at any offset, and as hex. Secret parts of a value have the same forms: the strings of a JSON value, the
//! password of an address, the text after `password=`.

use std::fmt::Write;

use data_encoding::BASE64;

use super::foreign::clean;
use super::ordinary::{Reach, looks_like_a_token, reach, sounds_secret};
use super::{Secret, without_userinfo};

/// Characters of a form: a shorter one would match other text by chance.
const SHORTEST: usize = 6;
/// Levels of JSON within strings of JSON.
const DEEPEST: usize = 4;
/// Addresses that are read in one value. Each makes about twenty forms: without a limit a large value takes too long.
const MOST_ADDRESSES: usize = 64;
/// Bytes of one address.
const LONGEST_ADDRESS: usize = 4 << 10;

/// One text to hide.
#[derive(Clone, PartialEq, Eq)]
pub struct Form {
    /// The variable with the value: shown in place of the text.
    pub name: String,
    /// The variable's name, or that of the innermost JSON member or assignment that has the text.
    pub key: String,
    pub reach: Reach,
    pub text: Secret,
}

/// All forms of a variable's value, without duplicates.
pub fn of(name: &str, value: &Secret) -> Vec<Form> {
    let mut forms = Forms { name, all: Vec::new() };
    forms.value(name, value.expose(), 0);
    let mut all = forms.all;
    // Of equal forms, the one with the widest reach comes first and is kept.
    all.sort_by(|a, b| (a.text.expose(), a.reach).cmp(&(b.text.expose(), b.reach)));
    all.dedup_by(|a, b| a.text == b.text && (a.key == b.key || b.reach == Reach::Anywhere));
    all
}

/// The forms that disclose a variable's value of at least `shortest` characters wherever they are: of the whole value, of
/// passwords in addresses, and of members of a JSON value whose names sound secret. Empty for an ordinary value.
pub fn disclosing(name: &str, value: &Secret, shortest: usize) -> Vec<Form> {
    let mut forms = Forms { name, all: Vec::new() };
    let value = value.expose().trim();
    forms.disclosing(name, value, shortest);
    forms.addresses(value);
    if let Ok(serde_json::Value::Object(members)) = serde_json::from_str(value) {
        for (key, member) in members.iter().filter(|(key, _)| sounds_secret(key)) {
            forms.disclosing(key, member.as_str().unwrap_or_default(), shortest);
        }
    }
    let is_long = |form: &Form| form.text.expose().chars().count() >= shortest;
    forms.all.into_iter().filter(|form| form.reach == Reach::Anywhere && is_long(form)).collect()
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

    fn disclosing(&mut self, key: &str, text: &str, shortest: usize) {
        if text.chars().count() >= shortest && reach(key, text) == Reach::Anywhere {
            self.escaped(key, text);
            self.encoded(key, text);
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
        // Foreign text is compared by line, without control characters and sometimes trimmed.
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
        // Programs remove what looks like a user from an address, and may leave half of a password with an @.
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

    /// Forms that never look like an ordinary word: hidden everywhere, even if the value itself is ordinary.
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

    /// The strings of a list have the list's key.
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

    /// `postgres://user:p%40ss@db/x`: the password, percent-encoded and decoded.
    fn addresses(&mut self, value: &str) {
        for (at, mark) in value.match_indices("://").take(MOST_ADDRESSES) {
            let rest = &value[at + mark.len()..];
            let rest = &rest[..rest.floor_char_boundary(LONGEST_ADDRESS)];
            let ends =
                |ends: &str| rest.find(|c: char| c.is_whitespace() || ends.contains(c)).unwrap_or(rest.len());
            // Some parsers end the authority at / and ?, others accept them in a password.
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

/// The text with percent-encoding decoded; `None` if it has none.
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

/// Percent-encoded as by JavaScript's `encodeURIComponent`; `upper`: with hex digits in upper case.
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

/// The value's base64, and that of the value inside other text (such as `user:password`): for each of the three offsets
/// modulo 3, the characters that do not depend on the text around it.
fn base64_forms(bytes: &[u8]) -> Vec<String> {
    let mut forms = vec![BASE64.encode(bytes).trim_end_matches('=').to_owned()];
    for before in 0..3usize {
        let padded: Vec<u8> = std::iter::repeat_n(b'x', before).chain(bytes.iter().copied()).collect();
        let encoded = BASE64.encode(&padded);
        let start = (before * 8).div_ceil(6);
        let whole = padded.len() * 8 / 6;
        // Fewer characters would match other text by chance.
        if whole > start + 8 {
            forms.push(encoded[start..whole].to_owned());
        }
    }
    forms
}
