//! Parses the secret that contains the git credential. No error quotes its text.

use serde::Deserialize;

use crate::error::{Code, Error, Result};
use crate::machine::{App, Credential};
use crate::secret::Secret;

/// Accepts a token, a private key (PEM), JSON with `username` and `password`, or JSON with `app_id`,
/// `installation_id` and `private_key`. serde's messages may quote a value, so no error contains them.
pub fn credential(secret: Secret) -> Result<Credential> {
    let text = secret.expose().trim();
    if text.starts_with('{') {
        return password(text).or_else(|| app(text)).ok_or_else(|| {
            invalid(
                "it is not a JSON object with username and password, or with app_id, installation_id and private_key",
            )
        });
    }
    if text.starts_with("-----BEGIN ") {
        return Ok(Credential::Key(Secret::new(format!("{text}\n"))));
    }
    if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
        return Err(invalid("it is a public key").remedy("store the private key, the file without .pub"));
    }
    match is_word(text) {
        // GitHub and servers compatible with it accept a token as the password of this user.
        true => {
            Ok(Credential::Password { username: "x-access-token".to_owned(), password: Secret::new(text) })
        }
        false => Err(invalid("it is empty or contains a space, so it is neither a token nor a private key")),
    }
}

fn password(text: &str) -> Option<Credential> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        #[serde(default = "by_token")]
        username: String,
        #[serde(alias = "token")]
        password: String,
    }
    fn by_token() -> String {
        "x-access-token".to_owned()
    }
    let pair: Pair = serde_json::from_str(text).ok()?;
    is_word(&pair.password)
        .then(|| Credential::Password { username: pair.username, password: Secret::new(pair.password) })
}

fn app(text: &str) -> Option<Credential> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        app_id: serde_json::Value,
        installation_id: serde_json::Value,
        private_key: String,
    }
    let written: Written = serde_json::from_str(text).ok()?;
    Some(Credential::App(App {
        app_id: id(&written.app_id)?,
        installation_id: id(&written.installation_id)?,
        private_key: Secret::new(written.private_key),
    }))
}

/// A number, or a string of letters and digits. Others are refused, because the id becomes part of an address.
fn id(value: &serde_json::Value) -> Option<String> {
    let text = match value {
        serde_json::Value::Number(number) => number.to_string(),
        serde_json::Value::String(text) => text.clone(),
        _ => return None,
    };
    (!text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric())).then_some(text)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}

fn invalid(cause: &str) -> Error {
    Error::new(Code::CredentialInvalid, "reading the git credential", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Credential> {
        credential(Secret::new(text))
    }

    #[test]
    fn each_kind_of_credential_is_recognised() {
        for (text, user, token) in [
            ("ghp_hunter2\n", "x-access-token", "ghp_hunter2"),
            (r#"{"token": "hunter2"}"#, "x-access-token", "hunter2"),
            (r#"{"username": "bot", "password": "hunter2"}"#, "bot", "hunter2"),
        ] {
            let Credential::Password { username, password } = read(text).unwrap() else { panic!("{text}") };
            assert_eq!((username.as_str(), password.expose()), (user, token));
        }
        let pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----";
        let Credential::Key(key) = read(&format!("\n{pem}\r\n")).unwrap() else { panic!("no key") };
        assert_eq!(key.expose(), format!("{pem}\n"));
        for (app_id, id) in [("123456", "123456"), (r#""Iv23abc""#, "Iv23abc")] {
            let text = format!(r#"{{"app_id": {app_id}, "installation_id": "7", "private_key": "a\nb"}}"#);
            let Credential::App(app) = read(&text).unwrap() else { panic!("{text}") };
            assert_eq!((app.app_id.as_str(), app.installation_id.as_str()), (id, "7"));
            assert_eq!(app.private_key.expose(), "a\nb");
        }
    }

    #[test]
    fn invalid_credentials_are_refused_and_not_quoted() {
        for text in [
            "",
            "hunter2 hunter2",
            "{\"password\": \"hunter2",
            r#"{"password": "hunter 2"}"#,
            r#"{"username": "bot"}"#,
            r#"{"password": "hunter2", "host": "x"}"#,
            r#"{"app_id": 1, "private_key": "hunter2"}"#,
            r#"{"app_id": "../hunter2", "installation_id": 1, "private_key": "hunter2"}"#,
            r#"{"app_id": 1.5, "installation_id": 1, "private_key": "hunter2"}"#,
            r#"{"app_id": [1], "installation_id": 1, "private_key": "hunter2"}"#,
            "ssh-ed25519 hunter2 me@laptop",
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.code(), Code::CredentialInvalid, "{text}");
            assert!(!error.to_string().contains("hunter"), "{error}");
        }
    }
}
