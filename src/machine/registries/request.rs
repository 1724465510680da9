//! The request to the proxy's child process.

use std::net::SocketAddr;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::facts::{Network, Registry};
use crate::machine::jail::on_the_wire;
use crate::machine::jail::request::Timeouts;
use crate::secret::Secret;

#[derive(Debug, Serialize, Deserialize)]
pub struct RegistriesRequest {
    pub logins: Vec<Login>,
    pub network: Network,
    #[serde(default)]
    pub timeouts: Timeouts,
    /// The only user whose connections are served.
    pub uid: u32,
}

/// The proxy's answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listening {
    pub address: SocketAddr,
    /// What an installation must trust, as PEM.
    pub certificate: String,
}

/// What is sent to one registry.
#[derive(Debug, Serialize, Deserialize)]
pub struct Login {
    /// In lower case.
    pub host: String,
    pub port: u16,
    /// Without a slash at its end. The header is added for this path and for those below it.
    pub path: String,
    /// The value of the header `Authorization`.
    #[serde(with = "on_the_wire")]
    pub authorization: Secret,
}

impl Login {
    pub fn new(registry: &Registry, token: &Secret) -> Login {
        let address = registry.url.as_str().trim_start_matches("https://");
        let (authority, path) =
            address.split_once('/').map_or((address, ""), |(authority, path)| (authority, path));
        let (host, port) = split(authority).unwrap_or((authority, 443));
        let authorization = match &registry.username {
            None => format!("Bearer {}", token.expose()),
            Some(name) => {
                let pair = Zeroizing::new(format!("{name}:{}", token.expose()));
                format!("Basic {}", BASE64.encode(pair.as_bytes()))
            }
        };
        Login {
            host: host.to_ascii_lowercase(),
            port,
            path: if path.is_empty() { String::new() } else { format!("/{}", path.trim_end_matches('/')) },
            authorization: Secret::new(authorization),
        }
    }
}

/// Host and port of `host:port`; `None` if there is no port. An IPv6 address is in brackets.
pub(super) fn split(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = authority.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty() && (!host.contains(':') || host.ends_with(']'))).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Mirror;

    fn login(url: &str, username: Option<&str>) -> Login {
        let registry = Registry {
            name: "x".to_owned(),
            kind: "npm".to_owned(),
            url: Mirror::try_from(url).unwrap(),
            token: "T".to_owned(),
            username: username.map(str::to_owned),
        };
        Login::new(&registry, &Secret::new("hunter2"))
    }

    #[test]
    fn a_registry_s_address_becomes_host_port_and_path() {
        for (url, parts) in [
            ("https://npm.acme.test/", ("npm.acme.test", 443, "")),
            ("https://NPM.acme.test:8443/a/b/", ("npm.acme.test", 8443, "/a/b")),
            ("https://pypi.acme.test/simple", ("pypi.acme.test", 443, "/simple")),
        ] {
            let login = login(url, None);
            assert_eq!((login.host.as_str(), login.port, login.path.as_str()), parts);
        }
        assert_eq!(login("https://r", None).authorization.expose(), "Bearer hunter2");
        assert_eq!(login("https://r", Some("bot")).authorization.expose(), "Basic Ym90Omh1bnRlcjI=");
        assert!(!format!("{:?}", login("https://r", None)).contains("hunter2"));
    }

    #[test]
    fn what_has_no_port_is_not_an_authority() {
        assert_eq!(split("a.test:443"), Some(("a.test", 443)));
        assert_eq!(split("[::1]:443"), Some(("[::1]", 443)));
        for text in ["a.test", "::1", ":443", "a.test:0", "a.test:x", "a.test:99999", ""] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
