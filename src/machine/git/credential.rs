//! Who asks: it goes from parent to child on stdin, and from the child to the repository's own server.

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};
use crate::secret::Secret;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// For https. A token is the password of a user that the server prescribes.
    Password {
        username: String,
        #[serde(with = "on_the_wire")]
        password: Secret,
    },
    /// For https to GitHub: the app's key buys a token for this repository.
    App(App),
    /// For ssh: a private key, PEM or OpenSSH's own form.
    Key(#[serde(with = "on_the_wire")] Secret),
}

/// A GitHub App's installation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct App {
    pub app_id: String,
    pub installation_id: String,
    #[serde(with = "on_the_wire")]
    pub private_key: Secret,
}

/// A credential that cannot be used, found before anything is connected.
pub(super) fn unfit(cause: &str) -> Error {
    Error::new(Code::CredentialInvalid, "reading the git credential", cause)
}

/// [`Secret`] serializes nowhere but here, where it must cross a pipe.
mod on_the_wire {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Secret;

    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}
