//! The actions for services that run as containers: docker's daemon, images, and what is removed of them. Data only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::facts::Network;
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
        /// Public values for `ARG`.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        arguments: BTreeMap<String, String>,
    },
}

/// Who logs in to a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryLogin {
    /// `user:password` from the secret.
    Given { registry: String, credential: Sealed },
    /// The instance's role, in a registry of ECR.
    Role {
        #[serde(flatten)]
        registry: EcrRegistry,
        network: Network,
    },
}

/// A private registry of ECR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EcrRegistry {
    pub host: String,
    /// Its owner, who may be another account than the instance's.
    pub account: String,
    pub region: String,
}

/// Images of releases that are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PruneImages {
    pub docker: PathBuf,
    /// The repository of the service's images on this machine.
    pub repository: String,
    /// Names of the releases to keep. An image of one container has the release's name up to its first dot.
    pub keep: Vec<String>,
    /// The directory of the images' records.
    pub records: PathBuf,
}

/// Stops a unit and removes its containers, also those that ignore the signal: the unit's next program may need their port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StopContainer {
    pub docker: PathBuf,
    pub unit: String,
    /// The name of its container, or of its project of docker compose, whose networks are removed, too.
    pub name: String,
}

impl RegistryLogin {
    pub fn registry(&self) -> &str {
        match self {
            RegistryLogin::Given { registry, .. } => registry,
            RegistryLogin::Role { registry, .. } => &registry.host,
        }
    }
}

/// Docker Hub, which references do not name.
pub const HUB: &str = "https://index.docker.io/v1/";

/// The host of a reference's registry, as docker's configuration names it.
pub fn registry(reference: &str) -> &str {
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

/// `123456789012.dkr.ecr.eu-west-1.amazonaws.com`, also with `-fips` and in the partitions of China; `None` for other hosts.
pub fn ecr(host: &str) -> Option<EcrRegistry> {
    let (account, rest) = host.split_once('.')?;
    let rest = rest.strip_prefix("dkr.ecr.").or_else(|| rest.strip_prefix("dkr.ecr-fips."))?;
    let (region, domain) = rest.split_once('.')?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_region = !region.is_empty() && region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let is_amazon = domain == "amazonaws.com" || domain == "amazonaws.com.cn";
    (is_account && is_region && is_amazon).then(|| EcrRegistry {
        host: host.to_owned(),
        account: account.to_owned(),
        region: region.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registry_of_amazon_gets_the_role_s_credential() {
        for host in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
        ] {
            let found = ecr(host).unwrap();
            assert_eq!((found.account.as_str(), found.host.as_str()), ("123456789012", host));
            assert!(host.contains(&found.region));
        }
        for host in [
            "public.ecr.aws",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.test",
            "123456789012.dkr.ecr.evil.test",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com:5000",
            "12345.dkr.ecr.eu-west-1.amazonaws.com",
            "ghcr.io",
        ] {
            assert_eq!(ecr(host), None, "{host}");
        }
    }

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
