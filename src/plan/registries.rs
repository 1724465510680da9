//! Access to private package registries, for the commands that install packages.

use std::path::PathBuf;

use serde::Serialize;

use crate::facts::{Network, Registry};

/// Stands in a plan for the address of the proxy that adds the tokens: it listens on a port of 127.0.0.1 that the kernel
/// chooses when it starts. With a fixed port, a local user could listen there first.
pub const PROXY: &str = "http://registries.bootagent.invalid:80";

/// A command reaches its registries through a proxy of bootagent, which adds each registry's token. The command itself
/// has no token: it trusts the proxy by a certificate that exists only while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegistryAccess {
    /// The name of the secret with the tokens.
    pub secret: String,
    pub registries: Vec<Registry>,
    /// How the proxy reaches the registries and all other servers.
    pub network: Network,
    /// The proxy's unit.
    pub unit: String,
    /// The file of certificates that the command trusts: the system's, the policy's and the proxy's.
    pub certificates: PathBuf,
}

impl RegistryAccess {
    pub(super) fn line(&self) -> String {
        let of = |registry: &Registry| format!("{} ({})", registry.url, registry.token);
        let all: Vec<String> = self.registries.iter().map(of).collect();
        format!(
            "with tokens of {} for {}, which a proxy of bootagent adds: the command cannot read them",
            self.secret,
            all.join(", ")
        )
    }
}
