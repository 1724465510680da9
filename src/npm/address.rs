//! Addresses of archives: only plain `https` ones, and which of them a registry replaces.

use super::{Result, for_npm, quoted};

/// The host of npm's setting `registry`, unless something else is configured, and of `replace-registry-host = npmjs`.
pub const PUBLIC: &str = "registry.npmjs.org";

/// In bytes.
const LONGEST: usize = 2000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    pub host: String,
    pub port: u16,
    /// From the first `/` on, with a query.
    pub path: String,
}

impl Address {
    pub fn parse(text: &str) -> Option<Address> {
        let rest = text.strip_prefix("https://").filter(|_| text.len() <= LONGEST)?;
        let at = rest.find('/').unwrap_or(rest.len());
        let (server, path) = rest.split_at(at);
        let (host, port) = match server.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (server, 443),
        };
        let is_host = |host: &str| {
            let is_label = |label: &str| {
                !label.is_empty()
                    && label
                        .bytes()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_')
            };
            !host.is_empty() && host.len() < 254 && host.split('.').all(is_label)
        };
        let is_path = path.bytes().all(|c| c.is_ascii_graphic() && !b"\\\"<>{}|^`#'".contains(&c))
            && !path.split('/').any(|name| name == "." || name == "..");
        let path = if path.is_empty() { "/" } else { path };
        (is_host(host) && is_path).then(|| Address { host: host.to_owned(), port, path: path.to_owned() })
    }

    pub fn server(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    pub fn host_and_port(&self) -> String {
        match self.port {
            443 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// For messages: a query may have a signature or a token in it.
    pub fn shown(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("https://{}{path}", self.host_and_port())
    }

    pub fn text(&self) -> String {
        format!("https://{}{}", self.host_and_port(), self.path)
    }
}

/// npm's setting `replace-registry-host`: which addresses of a lockfile are taken from the registry in place of their own
/// host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replace {
    Only(String),
    Always,
    Never,
}

/// Where registries have the archive of a version, by the package's own name.
pub fn usual(name: &str, version: &str, registry: &Address, other_scopes: &[String]) -> Option<Address> {
    let is_plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with('.')
            && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.~+".contains(&c))
    };
    let (scope, base) = name.split_once('/').map_or((None, name), |(scope, base)| (Some(scope), base));
    let scope_is_plain = scope.is_none_or(|scope| scope.strip_prefix('@').is_some_and(is_plain));
    if !is_plain(base) || !is_plain(version) || !scope_is_plain {
        return None;
    }
    // A scope with a registry of its own.
    if scope.is_some_and(|scope| other_scopes.iter().any(|other| other == scope)) {
        return None;
    }
    let below = registry.path.trim_end_matches('/');
    // A build's number is not in the name.
    let version = version.split('+').next().unwrap_or_default();
    Address::parse(&format!("https://{}{below}/{name}/-/{base}-{version}.tgz", registry.host_and_port()))
}

/// Git hosts, whose addresses npm reads as repositories.
const GIT: &[&str] =
    &["github.com", "codeload.github.com", "gist.github.com", "gitlab.com", "bitbucket.org", "git.sr.ht"];

/// Where an archive is fetched from, by the lockfile's `resolved`.
pub fn of(resolved: &str, registry: &Address, replace: &Replace) -> Result<Address> {
    let Some(mut address) = Address::parse(resolved) else {
        return for_npm(format!("{} is not a plain https address", quoted(resolved)));
    };
    if GIT.contains(&address.host.as_str()) {
        return for_npm(format!("{} is at a git host", quoted(resolved)));
    }
    let is_replaced = match replace {
        Replace::Always => true,
        Replace::Never => false,
        Replace::Only(host) => *host == address.host,
    };
    if is_replaced {
        address.host.clone_from(&registry.host);
        address.port = registry.port;
        let prefix = registry.path.trim_end_matches('/');
        let has_prefix =
            address.path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if !prefix.is_empty() && !has_prefix {
            address.path = format!("{prefix}{}", address.path);
        }
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_replaces_the_public_one() {
        let replace = Replace::Only(PUBLIC.to_owned());
        let at = |resolved: &str, registry: &str, replace: &Replace| {
            of(resolved, &Address::parse(registry).unwrap(), replace).unwrap().text()
        };
        let public = &format!("https://{PUBLIC}/a/-/a-1.tgz");
        assert_eq!(at(public, "https://r.test/", &replace), "https://r.test/a/-/a-1.tgz");
        assert_eq!(at(public, "https://r.test:8443/npm/", &replace), "https://r.test:8443/npm/a/-/a-1.tgz");
        assert_eq!(&at(public, "https://r.test/npm/", &Replace::Never), public);
        let other = "https://x.test/npm/a/-/a-1.tgz";
        assert_eq!(at(other, "https://r.test/npm/", &replace), other);
        assert_eq!(at(other, "https://r.test/npm/", &Replace::Always), "https://r.test/npm/a/-/a-1.tgz");
    }

    #[test]
    fn only_plain_addresses_are_taken() {
        for text in [
            "http://r.test/a",
            "git+https://r.test/a",
            "https://",
            "https:///a",
            "https://u:p@r.test/a",
            "https://R.test/a",
            "https://r.test/../a",
            "https://r.test/a#b",
            "https://r.test/a b",
            "https://r.test:x/a",
            "https://r..test/a",
            "file:a.tgz",
            "https://[::1]/a",
            "https://r.test/a\n",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
        let public = Address::parse(&format!("https://{PUBLIC}/")).unwrap();
        assert!(of("https://codeload.github.com/a/b/tar.gz/c", &public, &Replace::Never).is_err());
    }
}
