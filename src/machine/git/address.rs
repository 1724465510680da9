//! Repository addresses over http(s): which are accepted, and which redirects are followed.

use std::collections::BTreeMap;

use ureq::http::Uri;
use ureq::http::uri::Scheme;

use crate::error::{Code, Error, Result};
use crate::secret::{excerpt, without_userinfo};

/// git's first request, below a repository's address.
pub(super) const ADVERTISEMENT: &str = "/info/refs?service=git-upload-pack";

/// The addresses that servers redirected to, by those that were asked.
pub(super) type Moved = BTreeMap<String, String>;

/// A repository's address over http(s), without userinfo, query and trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    text: String,
    https: bool,
    host: String,
    port: u16,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Address> {
        Address::read(url).map_err(|cause| {
            Error::new(
                Code::RepositoryInvalid,
                format!("reading the repository's address {}", excerpt(url)),
                cause,
            )
        })
    }

    fn read(url: &str) -> Result<Address, &'static str> {
        let uri: Uri = url.parse().map_err(|_| "it is not a URL")?;
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err("only https://, http:// and ssh are supported"),
        };
        let authority = uri.authority().ok_or("it has no host")?;
        if authority.as_str().contains('@') {
            return Err("it has a user or a password");
        }
        if uri.query().is_some() || url.contains('#') {
            return Err("it has a query or a fragment");
        }
        if authority.host().is_empty() {
            return Err("it has no host");
        }
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let text = url.trim_end_matches('/').to_owned();
        Ok(Address { text, https, host: authority.host().to_ascii_lowercase(), port })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    /// The target of a redirect of the first request: the repository under a new name of the same owner, on the same
    /// server. Other redirects are refused. They could send the credential to another server; and the policy does not
    /// trust another owner, to whom the repository may have been transferred.
    pub(super) fn moved(&self, location: &str) -> Result<Address, String> {
        let whole = if location.starts_with('/') && !location.starts_with("//") {
            format!("{}{location}", self.origin())
        } else {
            location.to_owned()
        };
        let shown = without_userinfo(&whole);
        let base = whole
            .strip_suffix(ADVERTISEMENT)
            .ok_or_else(|| format!("the server redirects to {shown}, which is not a repository"))?;
        let to = Address::read(base).map_err(|cause| format!("the server redirects to {shown}: {cause}"))?;
        if self.https && !to.https {
            return Err(format!("the server redirects from https to {shown}"));
        }
        let upgraded = !self.https && to.https && (self.port, to.port) == (80, 443);
        if to.host != self.host || (to.port != self.port && !upgraded) {
            return Err(format!("the server redirects to another server, {shown}"));
        }
        match (self.owner(), to.owner()) {
            (Some(from), Some(to)) if from == to => {}
            _ => return Err(format!("the server redirects to another owner's repository, {shown}")),
        }
        Ok(to)
    }

    /// The path without the repository's name; `None` if the name could lead to another path (`..`, `%2f`).
    fn owner(&self) -> Option<&str> {
        let (owner, name) = self.path().rsplit_once('/')?;
        let plain = !matches!(name, "" | "." | "..") && !name.contains(['%', '\\', ';']);
        plain.then_some(owner)
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Owner and name, if the path has just these two parts, as on GitHub.
    pub(super) fn owner_and_name(&self) -> Option<(&str, &str)> {
        let (owner, name) = self.path().trim_start_matches('/').split_once('/')?;
        let name = name.strip_suffix(".git").unwrap_or(name);
        (!owner.is_empty() && !name.is_empty() && !name.contains('/')).then_some((owner, name))
    }

    fn path(&self) -> &str {
        &self.text[self.origin().len()..]
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> &str {
        let start = self.text.find("://").map_or(0, |at| at + 3);
        let end = self.text[start..].find('/').map_or(self.text.len(), |at| start + at);
        &self.text[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_http_servers_are_accepted() {
        for (url, text) in [
            ("https://github.com/acme/auth.git", "https://github.com/acme/auth.git"),
            ("http://git.example:8080/a/", "http://git.example:8080/a"),
            ("https://[::1]:8443/a.git", "https://[::1]:8443/a.git"),
        ] {
            assert_eq!(Address::parse(url).unwrap().as_str(), text);
        }
    }

    #[test]
    fn everything_else_is_refused_and_no_password_is_repeated() {
        for url in [
            "https://bot:hunter2@git.example/a.git",
            "https://hunter2@git.example/a.git",
            "ssh://git@git.example/a.git",
            "git@git.example:a.git",
            "git://git.example/a.git",
            "file:///srv/a.git",
            "ext::sh -c hunter2",
            "/srv/a.git",
            "https://",
            "https:///a.git",
            "https://git.example/a?token=hunter2",
            "https://git.example/a#b",
            "https://git.example/a b",
            "https://git.example/a\r\nHost: evil",
            "",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert_eq!(error.code(), Code::RepositoryInvalid, "{url}");
            assert!(!error.to_string().contains("hunter2@"), "{error}");
        }
    }

    #[test]
    fn redirects_stay_on_the_server() {
        let from = Address::parse("https://git.example/a").unwrap();
        let to = |location: &str| from.moved(location).map(|address| address.as_str().to_owned());
        let tail = ADVERTISEMENT;
        assert_eq!(to(&format!("/a.git{tail}")).unwrap(), "https://git.example/a.git");
        assert_eq!(to(&format!("https://GIT.example:443/b{tail}")).unwrap(), "https://GIT.example:443/b");
        for bad in [
            format!("http://git.example/a{tail}"),
            format!("http://git.example:443/a{tail}"),
            format!("https://evil.example/a{tail}"),
            format!("https://git.example:8443/a{tail}"),
            format!("//evil.example/a{tail}"),
            format!("https://git.example@evil.example/a{tail}"),
            format!("ssh://git.example/a{tail}"),
            "/login".to_owned(),
            String::new(),
        ] {
            assert!(to(&bad).is_err(), "{bad} was followed");
        }
        let plain = Address::parse("http://git.example/a").unwrap();
        assert!(plain.moved(&format!("https://git.example/a{tail}")).unwrap().is_https());
    }

    #[test]
    fn redirects_stay_with_the_owner() {
        let follows = |from: &str, to: &str| {
            let from = Address::parse(&format!("https://git.example{from}")).unwrap();
            from.moved(&format!("{to}{ADVERTISEMENT}")).is_ok()
        };
        for (from, to) in [
            ("/acme/auth", "/acme/auth.git"),
            ("/acme/auth.git", "/acme/authn"),
            ("/acme/team/auth", "https://git.example/acme/team/new"),
            ("/auth.git", "/new.git"),
        ] {
            assert!(follows(from, to), "{from} -> {to} was refused");
        }
        for (from, to) in [
            ("/acme/auth", "/evil/auth"),
            ("/acme/auth", "https://git.example/evil/auth"),
            ("/acme/auth", "/ACME/auth"),
            ("/acme/auth", "/acme/sub/auth"),
            ("/acme/team/auth", "/acme/auth"),
            ("/acme/auth", "/auth"),
            ("/acme/auth", "/acme/../evil/auth"),
            ("/acme/auth", "/acme//auth"),
            ("/acme/auth", "/acme/.."),
            ("/acme/auth", "/acme/..%2fevil%2fauth"),
            ("/acme/auth", "/acme/..\\evil\\auth"),
            ("/auth", "/evil/auth"),
            ("/acme/auth", ""),
        ] {
            assert!(!follows(from, to), "{from} -> {to} was followed");
        }
    }
}
