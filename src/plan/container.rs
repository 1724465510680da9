//! The actions for services that run as containers: docker's daemon, images, and what is removed of them. Data only.

use std::path::PathBuf;

use serde::Serialize;

use crate::secret::Sealed;

/// Docker's daemon runs, is started at every boot, and bounds the logs of containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigureEngine {
    pub docker: PathBuf,
    pub unit: String,
    /// `daemon.json`. What it has stays.
    pub file: PathBuf,
    pub log_size: String,
    pub log_files: String,
    /// The network of the services' containers, and the name of its bridge.
    pub network: String,
    pub bridge: String,
}

/// An image of a release, under a name of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrepareImage {
    pub docker: PathBuf,
    /// The name of this machine: `bootagent/auth-service:COMMIT-RECIPE`.
    pub image: String,
    pub from: ImageOrigin,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<RegistryLogin>,
    /// What the image was made from. A tag is resolved once for a release.
    pub record: PathBuf,
    /// Docker's configuration with the credential, while it is used.
    pub scratch: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageOrigin {
    /// The reference of an image in a registry.
    Registry { reference: String },
    Dockerfile {
        /// The directory that docker sends to its daemon: the release.
        context: PathBuf,
        /// Relative to it.
        dockerfile: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<String>,
        needs_buildkit: bool,
    },
}

/// Who logs in to a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryLogin {
    /// `user:password` from the secret.
    Given { registry: String, credential: Sealed },
}

/// Images of releases that are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PruneImages {
    pub docker: PathBuf,
    /// The repository of the service's images on this machine.
    pub repository: String,
    /// Names of the releases to keep.
    pub keep: Vec<String>,
    /// The directory of the images' records.
    pub records: PathBuf,
}

impl RegistryLogin {
    pub fn registry(&self) -> &str {
        match self {
            RegistryLogin::Given { registry, .. } => registry,
        }
    }
}

/// The host of a reference's registry, as docker's configuration names it.
pub fn registry(reference: &str) -> &str {
    /// Docker Hub, which references do not name.
    const HUB: &str = "https://index.docker.io/v1/";
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => {
            if host == "docker.io" {
                HUB
            } else {
                host
            }
        }
        _ => HUB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_of_a_reference_is_its_host_or_docker_hub() {
        for (reference, host) in [
            ("nginx:1", "https://index.docker.io/v1/"),
            ("acme/api:1", "https://index.docker.io/v1/"),
            ("docker.io/acme/api:1", "https://index.docker.io/v1/"),
            ("ghcr.io/acme/api:1", "ghcr.io"),
            ("localhost:5000/api:1", "localhost:5000"),
            ("localhost/api:1", "localhost"),
        ] {
            assert_eq!(registry(reference), host, "{reference}");
        }
    }
}
