//! The policy's proxy, CA file and mirrors. A value is checked when it is created, because it becomes part of
//! environment variables, configuration files and addresses.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::newtype::newtype;

/// Hosts that are never reached through a proxy, whatever the policy sets: the machine itself and IMDS. A proxy between
/// the agent and IMDS would see the role's credentials, or could replace them.
const ALWAYS_DIRECT: [&str; 5] = ["localhost", "127.0.0.1", "::1", "169.254.169.254", "fd00:ec2::254"];

/// How every server but IMDS is reached. Variables such as `HTTPS_PROXY` in the agent's environment have no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    pub proxy: Option<Proxy>,
    /// Hosts that are reached without the proxy, each with its subdomains.
    pub no_proxy: Vec<HostName>,
    /// Certificates to trust in addition to the system's.
    pub ca_file: Option<CaFile>,
    /// Whether AWS's APIs are called at their FIPS endpoints.
    #[serde(skip_serializing_if = "is_false")]
    pub fips: bool,
    /// Whether AWS's APIs are called at endpoints that IPv6 reaches, too.
    #[serde(skip_serializing_if = "is_false")]
    pub dual_stack: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Network {
    /// All hosts that are reached without the proxy, as entries of `NO_PROXY`.
    pub fn direct(&self) -> Vec<&str> {
        self.no_proxy.iter().map(HostName::as_str).chain(ALWAYS_DIRECT).collect()
    }

    /// The proxy for a host; `None` if the host is reached directly.
    pub fn proxy_for(&self, host: &str) -> Option<&Proxy> {
        let host = host.to_ascii_lowercase();
        let is_below =
            |one: &str| host.strip_suffix(one).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        self.proxy.as_ref().filter(|_| !self.direct().into_iter().any(is_below))
    }
}

/// Mirrors by the name of what they replace: `node` (its archives), `npm` (its registry).
pub type Mirrors = BTreeMap<String, Mirror>;

/// Why a value is invalid. It never quotes the value, because an address may contain a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError(&'static str);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for AddressError {}

newtype! {
    /// A CONNECT proxy, `http://proxy.example:3128`.
    Proxy, AddressError, |text| proxy(text).map_err(AddressError)
}

newtype! {
    /// A host and its subdomains, or one IP address.
    HostName, AddressError, |text| host(text).map_err(AddressError)
}

newtype! {
    /// The address of a mirror, `https://npm.example/registry`, without a slash at its end.
    Mirror, AddressError, |text| mirror(text).map_err(AddressError)
}

newtype! {
    /// A file of PEM certificates.
    CaFile, AddressError, |text| ca_file(text).map_err(AddressError)
}

impl Proxy {
    /// `host:port`.
    pub fn authority(&self) -> &str {
        self.0.trim_start_matches("http://")
    }
}

impl CaFile {
    pub fn path(&self) -> &Path {
        Path::new(&self.0)
    }

    pub fn to_path_buf(&self) -> PathBuf {
        PathBuf::from(&self.0)
    }
}

fn proxy(word: &str) -> Result<String, &'static str> {
    if word.contains('@') {
        return Err("the proxy's address has a user or a password, which the environment of every \
                    command would show: let the proxy identify its clients by their IP address");
    }
    let form = "a proxy is written http://host:port";
    let authority = word.strip_prefix("http://").ok_or(form)?.trim_end_matches('/');
    let (name, port) = authority.rsplit_once(':').ok_or(form)?;
    let fits = is_authority(name) && port.parse::<u16>().is_ok_and(|port| port != 0);
    fits.then(|| format!("http://{authority}")).ok_or(form)
}

fn host(word: &str) -> Result<String, &'static str> {
    let name = word.strip_prefix("*.").or(word.strip_prefix('.')).unwrap_or(word);
    let fits = is_name(name) || is_ipv6(name);
    fits.then(|| name.to_ascii_lowercase()).ok_or(
        "no_proxy takes host names, which include their subdomains, and IP addresses; no ranges, ports or \
         wildcards",
    )
}

fn mirror(word: &str) -> Result<String, &'static str> {
    if word.contains('@') {
        return Err("the mirror's address has a user or a password");
    }
    let form = "a mirror is written https://host/path, without a query";
    let rest = word.strip_prefix("https://").ok_or(form)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if !authority.ends_with(']') => {
            port.parse::<u16>().map_err(|_| form)?;
            name
        }
        _ => authority,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/%+".contains(c);
    let fits = is_authority(name) && path.chars().all(plain);
    fits.then(|| word.trim_end_matches('/').to_owned()).ok_or(form)
}

/// The code that reads the file checks its content.
fn ca_file(word: &str) -> Result<String, &'static str> {
    let fits = word.starts_with('/') && !word.chars().any(char::is_control);
    fits.then(|| word.to_owned()).ok_or("ca_file must be the absolute path of a file")
}

/// The host of an address: a name, or an IPv6 address in brackets.
fn is_authority(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    bare.map_or_else(|| is_name(text), is_ipv6)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !text.starts_with(['-', '.'])
        && !text.ends_with('.')
        && !text.contains("..")
}

fn is_ipv6(text: &str) -> bool {
    text.matches(':').count() >= 2 && text.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_has_a_host_a_port_and_nothing_else() {
        for (word, read) in [
            ("http://proxy.acme.test:3128", "http://proxy.acme.test:3128"),
            ("http://10.0.0.1:80/", "http://10.0.0.1:80"),
            ("http://[fd00::1]:3128", "http://[fd00::1]:3128"),
        ] {
            assert_eq!(Proxy::try_from(word).unwrap().as_str(), read);
        }
        for word in [
            "",
            "proxy:3128",
            "http://proxy",
            "http://proxy:0",
            "http://proxy:99999",
            "https://proxy:3128",
            "socks5://proxy:1080",
            "http://:3128",
            "http://proxy:3128/path",
            "http://pro xy:3128",
            "http://proxy\n:3128",
        ] {
            assert!(Proxy::try_from(word).is_err(), "{word:?} was accepted");
        }
    }

    #[test]
    fn an_address_with_a_password_is_refused_and_not_quoted() {
        for error in [
            Proxy::try_from("http://me:hunter2@proxy:3128").unwrap_err(),
            Proxy::try_from("http://hunter2@proxy:3128").unwrap_err(),
            Mirror::try_from("https://me:hunter2@npm.example").unwrap_err(),
        ] {
            assert!(error.to_string().contains("a password") && !error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn host_names_are_normalised() {
        for (word, read) in [
            ("acme.test", "acme.test"),
            (".acme.test", "acme.test"),
            ("*.Acme.test", "acme.test"),
            ("10.1.2.3", "10.1.2.3"),
            ("fd00::7", "fd00::7"),
        ] {
            assert_eq!(HostName::try_from(word).unwrap().as_str(), read);
        }
        for word in ["", "*", ".", "10.0.0.0/8", "host:80", "a b", "a,b", "http://a", "a..b", "-a"] {
            assert!(HostName::try_from(word).is_err(), "{word:?} was accepted");
        }
    }

    #[test]
    fn mirrors_are_https() {
        for (word, read) in [
            ("https://npm.acme.test/", "https://npm.acme.test"),
            ("https://mirror.example:8443/node/dist", "https://mirror.example:8443/node/dist"),
        ] {
            assert_eq!(Mirror::try_from(word).unwrap().as_str(), read);
        }
        for word in
            ["http://npm.example", "npm.example", "https://", "https://a/?b", "https://a/#b", "https://a b/"]
        {
            assert!(Mirror::try_from(word).is_err(), "{word:?} was accepted");
        }
    }

    #[test]
    fn instance_metadata_is_never_proxied() {
        let network =
            Network { no_proxy: vec![HostName::try_from("acme.test").unwrap()], ..Network::default() };
        let direct = network.direct();
        let proxied =
            Network { proxy: Some(Proxy::try_from("http://proxy:3128").unwrap()), ..network.clone() };
        for host in ["github.com", "notacme.test", "acme.test.example"] {
            assert_eq!(proxied.proxy_for(host).map(Proxy::authority), Some("proxy:3128"), "{host}");
            assert_eq!(network.proxy_for(host), None);
        }
        for host in ["acme.test", "git.Acme.test", "169.254.169.254", "localhost"] {
            assert_eq!(proxied.proxy_for(host), None, "{host} would be proxied");
        }
        for host in ["acme.test", "169.254.169.254", "fd00:ec2::254", "localhost", "127.0.0.1"] {
            assert!(direct.contains(&host), "{host} would be proxied");
        }
    }

    #[test]
    fn a_ca_file_has_an_absolute_path() {
        assert_eq!(
            CaFile::try_from("/etc/bootagent/ca.pem").unwrap().path(),
            Path::new("/etc/bootagent/ca.pem")
        );
        for word in ["", "ca.pem", "../ca.pem", "/etc/\nca.pem"] {
            assert!(CaFile::try_from(word).is_err(), "{word:?} was accepted");
        }
    }
}
