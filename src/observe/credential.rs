//! The git credential, as its secret holds it.

use crate::error::{Code, Error, Result};
use crate::machine::Credential;
use crate::secret::Secret;

/// A token alone, or `{"username": ..., "password": ...}`.
pub fn credential(secret: Secret) -> Result<Credential> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        username: Option<String>,
        #[serde(alias = "token")]
        password: String,
    }
    let text = secret.expose().trim();
    let invalid = || {
        Error::new(
            Code::SecretInvalid,
            "reading the git credential",
            "it is neither a token nor JSON with username and password",
        )
    };
    let pair = match text.starts_with('{') {
        // The JSON error may repeat a value: it is not passed on.
        true => serde_json::from_str(text).map_err(|_| invalid())?,
        false => Pair { username: None, password: text.to_owned() },
    };
    if pair.password.is_empty() || pair.password.contains(char::is_whitespace) {
        return Err(invalid());
    }
    // GitHub, and others after it, take a token as the password of this user.
    let username = pair.username.unwrap_or_else(|| "x-access-token".to_owned());
    Ok(Credential { username, password: Secret::new(pair.password) })
}
