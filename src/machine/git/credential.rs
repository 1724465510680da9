//! The git credential. The parent sends it to the child on stdin, and the child only to the repository's server.

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};
use crate::machine::jail::on_the_wire;
use crate::secret::Secret;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// For https. A token is a password, for a user name that the server prescribes.
    Password {
        username: String,
        #[serde(with = "on_the_wire")]
        password: Secret,
    },
    /// For GitHub over https: the app's key is exchanged for a token for this repository.
    App(App),
    /// For ssh: a private key in PEM or OpenSSH format.
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

/// The error for a credential that cannot be used, found before any connection.
pub(super) fn unusable(cause: &str) -> Error {
    Error::new(Code::CredentialInvalid, "reading the git credential", cause)
}
