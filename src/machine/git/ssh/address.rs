//! Repository addresses over ssh, in the two forms that git accepts.

use crate::error::{Code, Error, Result};
use crate::secret::excerpt;

/// `ssh://git@host[:port]/path` or `git@host:path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    text: String,
    user: String,
    host: String,
    port: u16,
    path: String,
}

impl Address {
    /// Whether this is meant as an ssh address, valid or not.
    pub fn claims(text: &str) -> bool {
        match text.split_once("://") {
            Some((scheme, _)) => scheme.eq_ignore_ascii_case("ssh"),
            None => text.split_once(':').is_some_and(|(authority, _)| authority.contains('@')),
        }
    }

    pub fn parse(text: &str) -> Result<Address> {
        Address::read(text).ok_or_else(|| {
            Error::new(
                Code::RepositoryInvalid,
                format!("reading the repository's address {}", excerpt(text)),
                "it is neither ssh://git@HOST[:PORT]/PATH nor git@HOST:PATH (no password, no special characters)",
            )
            .remedy("give the private key with --git-credential-secret, and the server's host key with git.host_keys in the policy")
        })
    }

    fn read(text: &str) -> Option<Address> {
        // git decodes the path of a URL, and not that of the other form.
        let (authority, path) = match text.split_once("://") {
            Some((_, rest)) => {
                let (authority, path) = rest.split_at(rest.find('/')?);
                (authority, decoded(path)?)
            }
            None => {
                let (authority, path) = text.split_once(':')?;
                (authority, is_encoded(path).then(|| path.to_owned())?)
            }
        };
        let (user, server) = authority.split_once('@')?;
        let (host, port) = match server.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
            None => (server, 22),
        };
        let fits = is_word(user) && is_word(host) && is_path(&path);
        fits.then(|| Address {
            text: text.trim_end_matches('/').to_owned(),
            user: user.to_owned(),
            host: host.to_ascii_lowercase(),
            port,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The command for the server's shell. `is_path` allows nothing that needs more than the quotes.
    pub fn command(&self) -> String {
        format!("git-upload-pack '{}'", self.path)
    }
}

/// A user or a host, which ssh must not take for an option (`-oProxyCommand=`).
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// A path that can be quoted in the server's shell, and that the server does not take for an option.
fn is_path(text: &str) -> bool {
    !text.trim_matches('/').is_empty()
        && !text.starts_with('-')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-~+ %".contains(c))
}

/// Whether the path has a blank only as `%20`, as Azure DevOps writes the names of projects, and no `%` alone.
fn is_encoded(path: &str) -> bool {
    decoded(path).is_some()
}

/// The path with `%20` and the like decoded. `None` if it contains a blank, or if a `%` begins no byte of UTF-8.
fn decoded(path: &str) -> Option<String> {
    if path.contains(' ') {
        return None;
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(path.len()), path.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        for (text, host, port, command) in [
            ("ssh://git@GitHub.com/acme/auth.git", "github.com", 22, "git-upload-pack '/acme/auth.git'"),
            ("ssh://git@git.example:2222/a/", "git.example", 2222, "git-upload-pack '/a'"),
            ("git@github.com:acme/auth.git", "github.com", 22, "git-upload-pack 'acme/auth.git'"),
            ("git@git.example:/srv/~me/a+b.git", "git.example", 22, "git-upload-pack '/srv/~me/a+b.git'"),
            (
                "git@ssh.dev.azure.com:v3/acme/My%20Project/auth",
                "ssh.dev.azure.com",
                22,
                "git-upload-pack 'v3/acme/My%20Project/auth'",
            ),
            ("ssh://git@git.example/My%20Project/a", "git.example", 22, "git-upload-pack '/My Project/a'"),
        ] {
            assert!(Address::claims(text));
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host(), address.port(), address.user()), (host, port, "git"), "{text}");
            assert_eq!(address.command(), command);
        }
    }

    #[test]
    fn everything_else_is_refused_and_no_password_is_repeated() {
        for text in [
            "ssh://git:hunter2@github.com/acme/auth.git",
            "ssh://github.com/acme/auth.git",
            "ssh://git@github.com",
            "ssh://git@github.com/",
            "ssh://git@github.com:0/a",
            "ssh://git@github.com:x/a",
            "ssh://-oProxyCommand=x@host/a",
            "ssh://git@-oProxyCommand=x/a",
            "git@host:-a",
            "git@host:",
            "git@host:a'; id; '",
            "git@host:a$(id)",
            "git@host:a b",
            "ssh://git@host/a b",
            "ssh://git@host/a%2",
            "ssh://git@host/a%zz",
            "ssh://git@host/a%27;id;%27",
            "ssh://git@host/a%0ab",
            "ssh://git@host/a%00",
            "git@host:a%",
            "git@host:a\nb",
            "git@:a",
            "@host:a",
        ] {
            assert!(Address::claims(text), "{text}");
            let error = Address::parse(text).unwrap_err();
            assert_eq!(error.code(), Code::RepositoryInvalid, "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        for text in ["https://git@host/a", "/srv/a.git", "C:/a", "a:b", "file:///srv/a"] {
            assert!(!Address::claims(text), "{text}");
        }
    }
}
