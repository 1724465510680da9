//! Reads the health check of a container, and times. Pure.

use serde_json::{Map, Value};

use super::project::{Health, Member, Words};
use super::reader::words;
use super::reader::{At, Reader};
use super::refused::unknown;
use super::template::Template;
use crate::error::Result;

/// Under this name a health check's command is among the words.
pub const TEST: &str = "healthcheck.test";
/// Seconds: more than any interval or start.
const LONGEST: u64 = 3600;

pub fn health(reader: &Reader, member: &mut Member, at: At) -> Result<()> {
    let mut plain = Map::new();
    for (path, key, node) in reader.entries(at)? {
        let at = At { path: &path, node };
        match key {
            "test" => member.words.extend(words(reader, at)?.map(|words| (TEST.to_owned(), words))),
            "interval" | "timeout" | "start_period" | "start_interval" => {
                seconds(reader, at, LONGEST)?;
                plain.insert(key.to_owned(), reader.text(at)?.into());
            }
            "retries" => _ = plain.insert(key.to_owned(), reader.number(at, 1000)?.into()),
            "disable" => {
                if reader.flag(at)? {
                    member.health = Some(Health::Disabled);
                }
            }
            _ => return Err(unknown(reader, key, at, &[])),
        }
    }
    match member.words.get(TEST) {
        Some(Words::List(all)) if all.is_empty() => _ = member.words.remove(TEST),
        Some(Words::List(all)) if all[0] == Template::literal("NONE") => {
            member.health = Some(Health::Disabled);
        }
        Some(Words::List(all))
            if ![Template::literal("CMD"), Template::literal("CMD-SHELL")].contains(&all[0]) =>
        {
            let path = format!("{}.test", at.path);
            return Err(reader.invalid(&path, "does not begin with CMD, CMD-SHELL or NONE"));
        }
        _ => {}
    }
    // Without a test, it is the image's with other times.
    member.health.get_or_insert(Health::Checked(plain));
    if member.health == Some(Health::Disabled) {
        member.words.remove(TEST);
    }
    Ok(())
}

/// A time as compose has them: `90s`, `1m30s`, `500ms`. In seconds, rounded up.
pub fn seconds(reader: &Reader, at: At, most: u64) -> Result<u64> {
    let text = reader.text(at)?;
    let found = parse(&text).filter(|seconds| *seconds <= most);
    found.ok_or_else(|| reader.invalid(at.path, &format!("is not a time like 30s, up to {most} s")))
}

fn parse(text: &str) -> Option<u64> {
    let (mut rest, mut milliseconds) = (text, 0_u64);
    if text.is_empty() || text.len() > 30 {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let factor = match &unit[..end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        milliseconds = milliseconds.checked_add(number.checked_mul(factor)?)?;
        rest = &unit[end..];
    }
    Some(milliseconds.div_ceil(1000))
}

impl Health {
    pub fn plain(&self) -> Map<String, Value> {
        match self {
            Health::Disabled => [("disable".to_owned(), true.into())].into_iter().collect(),
            Health::Checked(plain) => plain.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn times_are_read_in_seconds() {
        for (text, seconds) in [
            ("30s", Some(30)),
            ("1m30s", Some(90)),
            ("500ms", Some(1)),
            ("1h", Some(3600)),
            ("", None),
            ("30", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("1d", None),
            ("99999999999999999999s", None),
            ("9999999999999999999h", None),
        ] {
            assert_eq!(parse(text), seconds, "{text}");
        }
    }
}
