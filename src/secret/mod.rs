//! What must not be seen: text that prints and serializes as its key names only; and what others wrote, in which it could
//! stand.

mod foreign;
mod forms;
mod message;
mod ordinary;
mod redaction;

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use zeroize::Zeroizing;

pub use foreign::{CUT, ForeignText, SHOWN, cut, excerpt, without_userinfo};
pub use message::{Message, Unredacted};
pub use redaction::Redaction;

/// Secret text, wiped when dropped. There is no `Deserialize`, and `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself. Each caller is a place where it could leak: keep them few.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The secret content of a file, known to everybody else by the names of its keys.
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
    fn sealed_shows_its_keys_and_never_its_text() {
        let sealed = Sealed::new(vec!["TOKEN".into()], "TOKEN=hunter2\n");
        assert_eq!(serde_json::to_string(&sealed).unwrap(), r#"{"sealed_keys":["TOKEN"]}"#);
        assert_eq!(format!("{sealed:?}"), r#"Sealed { keys: ["TOKEN"], .. }"#);
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
    }
}
