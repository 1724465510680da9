//! Serializes a [`Secret`] for the pipe to a child. The type itself does not, so that no record or log contains one.

use serde::{Deserialize, Deserializer, Serializer};

use crate::secret::Secret;

pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}
