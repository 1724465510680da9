//! A private package registry that the policy names.

use serde::{Deserialize, Serialize};

use super::Mirror;

/// A registry, and the key of the install secret that has the token for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// The name of its table in the policy.
    pub name: String,
    /// Whose packages it has, as `[mirrors]` calls it: `npm`, `pypi`.
    pub kind: String,
    /// The token is sent only to addresses below this one.
    pub url: Mirror,
    pub token: String,
    /// With a user name the token is sent as its password, else as a bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}
