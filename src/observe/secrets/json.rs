//! Parses a secret that is one flat JSON object, as the AWS console creates it.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::names::no_name;
use crate::secret::Secret;

/// The members with their values: strings unchanged; numbers and booleans as their source text, so that `1e5` and
/// 20-digit ids do not change; nested values as compact JSON. Duplicates are kept, for the caller to find.
pub(super) fn read(text: &str) -> Result<Vec<(String, Secret)>, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_map(Members).and_then(|members| json.end().map(|()| members));
    // Only the place: serde_json's messages may quote a value.
    let members = members.map_err(|error| {
        format!("it is not valid JSON at line {}, column {}", error.line(), error.column())
    })?;
    members.into_iter().enumerate().map(|(index, (key, raw))| member(index, key, raw.get())).collect()
}

fn member(index: usize, key: String, raw: &str) -> Result<(String, Secret), String> {
    if let Some(why) = no_name(&key) {
        return Err(format!("key number {} {why}", index + 1));
    }
    let value = match raw.as_bytes().first() {
        Some(b'"') => {
            serde_json::from_str(raw).map_err(|_| format!("the string of {key} has a broken escape"))?
        }
        Some(b'n') => {
            return Err(format!("{key} is null: give it a value, \"\" for an empty one, or remove it"));
        }
        Some(b'{' | b'[') => compact(raw),
        _ => raw.to_owned(),
    };
    Ok((key, Secret::new(value)))
}

/// The same JSON without the blanks between its tokens.
fn compact(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in raw.chars() {
        if quoted || !c.is_ascii_whitespace() {
            out.push(c);
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    out
}

/// All members in order, duplicates included: a map would silently keep only the last one.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
