//! Secret text, and foreign text (of a repository, a tool or a server), which may quote a secret.
//!
//! Neither type has a `Display`. Only [`Secret::expose`], [`Sealed::expose`] and a [`Redaction`] give out their text.

mod confidential;
mod foreign;
mod forms;
mod message;
mod ordinary;
mod redaction;

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use zeroize::Zeroizing;

pub use confidential::{Confidential, Finder};
pub use foreign::{CUT, ForeignText, SHOWN, clean, cut, excerpt, without_userinfo};
pub use message::{Message, Unredacted};
pub use redaction::Redaction;

/// Secret text, overwritten in memory when it is dropped. Not serializable, so that no record can contain one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself. Each caller could leak it: keep callers few.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The secret content of an environment file. `Debug` and `Serialize` show only the names of its variables.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    keys: Vec<String>,
    text: Secret,
}

impl Sealed {
    pub fn new(keys: Vec<String>, text: impl Into<String>) -> Self {
        Sealed { keys, text: Secret::new(text) }
    }

    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sealed = serializer.serialize_struct("Sealed", 1)?;
        sealed.serialize_field("sealed_keys", &self.keys)?;
        sealed.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_text_shows_only_its_keys() {
        let sealed = Sealed::new(vec!["TOKEN".into()], "TOKEN=hunter2\n");
        assert_eq!(serde_json::to_string(&sealed).unwrap(), r#"{"sealed_keys":["TOKEN"]}"#);
        assert_eq!(format!("{sealed:?}"), r#"Sealed { keys: ["TOKEN"], .. }"#);
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
    }
}
