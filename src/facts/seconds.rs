//! A length of time in whole seconds, as policies and manifests write it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A time, written as `90`, `90s`, `2m` or `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "u64")]
pub struct Seconds(pub u64);

impl Seconds {
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let unit = match &text[digits.len()..] {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err("expected a time like 90s, 2m or 1h".to_owned()),
        };
        let number: Result<u64, _> = digits.parse();
        number
            .ok()
            .and_then(|number| number.checked_mul(unit))
            .map(Seconds)
            .ok_or_else(|| "expected a time like 90s, 2m or 1h".to_owned())
    }
}

/// The two forms in TOML and JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl TryFrom<Written> for Seconds {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(number) => Ok(Seconds(number)),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<Seconds> for u64 {
    fn from(seconds: Seconds) -> u64 {
        seconds.0
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_unit() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("2m", 120), ("1h", 3600), ("0", 0)] {
            assert_eq!(text.parse(), Ok(Seconds(seconds)), "{text}");
        }
        for text in ["", "s", "2d", "-1", "1.5m", "soon", "99999999999999999999h"] {
            assert!(text.parse::<Seconds>().is_err(), "{text} was read as a time");
        }
    }

    #[test]
    fn times_are_serialized_as_numbers() {
        let text = serde_json::to_string(&Seconds(90)).unwrap();
        assert_eq!((text.as_str(), serde_json::from_str::<Seconds>(&text).unwrap()), ("90", Seconds(90)));
        assert_eq!(serde_json::from_str::<Seconds>("\"2m\"").unwrap(), Seconds(120));
    }
}
