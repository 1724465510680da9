//! Reads `.gitmodules`, and finds the address of a submodule. Pure.
//!
//! A submodule is fetched with the repository's own credential, so it must be beside the repository: on the same server,
//! of the same owner. A file of the repository must not choose where the credential is sent.

use crate::secret::excerpt;
use std::collections::HashMap;

/// What `.gitmodules` says of one submodule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) url: String,
    pub(super) branch: Option<String>,
    /// `update = none`: git leaves its directory empty.
    pub(super) is_left_out: bool,
}

/// The submodules by their paths.
pub(super) fn modules(text: &str) -> HashMap<String, Module> {
    let mut found = HashMap::new();
    let (mut path, mut module) = (None, Module::default());
    // The header at the end stores the last section.
    for line in text.lines().chain(["[end]"]).map(str::trim) {
        if line.starts_with('[') {
            if let Some(path) = path.take() {
                found.insert(path, std::mem::take(&mut module));
            }
            module = Module::default();
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with(['#', ';'])) else {
            continue;
        };
        let value = value_of(value);
        match key.trim().to_ascii_lowercase().as_str() {
            "path" => path = Some(value.trim_end_matches('/').to_owned()),
            "url" => module.url = value,
            "branch" => module.branch = Some(value),
            "update" => module.is_left_out = value == "none",
            _ => {}
        }
    }
    found
}

/// A value of git's configuration: quotes and backslashes are taken off, and a comment ends it.
fn value_of(text: &str) -> String {
    let (mut value, mut is_quoted) = (String::new(), false);
    let mut characters = text.trim().chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => is_quoted = !is_quoted,
            '\\' => value.extend(characters.next()),
            '#' | ';' if !is_quoted => break,
            c => value.push(c),
        }
    }
    value.trim_end().to_owned()
}

/// The address of the submodule at `url` (relative or not) of the repository at `base`. It has the form of `base`: a
/// submodule that is written with https is fetched over ssh if the repository is. The error says why it is refused.
pub(super) fn resolve(base: &str, url: &str) -> Result<String, String> {
    let from = Parts::of(base).ok_or("the repository's own address has no server")?;
    let (owner, _) = from.owner_and_name().ok_or("the repository's own address has no owner")?;
    let to = match url.starts_with("./") || url.starts_with("../") {
        true => from.relative(url).ok_or("its relative url leads out of the server")?,
        false => Parts::of(url).ok_or("its url is neither relative nor of https or ssh")?,
    };
    if !to.is_on_the_server_of(&from) {
        return Err(format!("it is on {}, and the repository on {}", to.server(), from.server()));
    }
    let (of, name) = to.owner_and_name().ok_or("its url has no owner and name")?;
    if !of.eq_ignore_ascii_case(&owner) {
        return Err(format!("it is a repository of {of}, not of {owner}"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-~+".contains(c);
    if matches!(name.as_str(), "." | "..") || name.starts_with('-') || !name.chars().all(plain) {
        return Err("its name has characters that bootagent does not accept".to_owned());
    }
    Ok(format!("{}{owner}/{name}", from.prefix))
}

/// An address in parts: `https://host/`, and the parts of its path.
#[derive(Clone, Debug)]
struct Parts {
    /// What is before the path, with its slash or colon.
    prefix: String,
    scheme: &'static str,
    host: String,
    port: u16,
    path: Vec<String>,
}

impl Parts {
    fn of(address: &str) -> Option<Parts> {
        let (scheme, authority, path, prefix) = match address.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/')?;
                let known = ["https", "http", "ssh"].into_iter();
                let scheme = known.into_iter().find(|known| scheme.eq_ignore_ascii_case(known))?;
                (scheme, authority, path, address.len() - path.len())
            }
            None => {
                let (authority, path) = address.split_once(':')?;
                authority.contains('@').then_some(("ssh", authority, path, address.len() - path.len()))?
            }
        };
        let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
        let default = match scheme {
            "https" => 443,
            "http" => 80,
            _ => 22,
        };
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) if !server.ends_with(']') => (host, port.parse().ok()?),
            _ => (server, default),
        };
        let parts = path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        // A path of the form git@host:/path begins at the root.
        let root = if path.starts_with('/') { "/" } else { "" };
        let prefix = format!("{}{root}", &address[..prefix]);
        (!host.is_empty()).then(|| Parts {
            prefix,
            scheme,
            host: host.to_ascii_lowercase(),
            port,
            path: parts,
        })
    }

    /// As git does: each `../` takes one part of the repository's path away.
    fn relative(&self, url: &str) -> Option<Parts> {
        let (mut path, mut rest) = (self.path.clone(), url);
        loop {
            if let Some(after) = rest.strip_prefix("../") {
                path.pop()?;
                rest = after;
            } else if let Some(after) = rest.strip_prefix("./") {
                rest = after;
            } else {
                break;
            }
        }
        path.extend(rest.split('/').filter(|part| !part.is_empty()).map(str::to_owned));
        Some(Parts { path, ..self.clone() })
    }

    /// Another scheme has another port on the same server.
    fn is_on_the_server_of(&self, other: &Parts) -> bool {
        self.host == other.host && (self.scheme != other.scheme || self.port == other.port)
    }

    fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The path but for its last part, and the last part.
    fn owner_and_name(&self) -> Option<(String, String)> {
        let (name, owner) = self.path.split_last()?;
        let is_plain = |part: &String| !matches!(part.as_str(), "." | "..");
        (!owner.is_empty() && owner.iter().all(is_plain)).then(|| (owner.join("/"), name.clone()))
    }
}

/// The address of a submodule by its url, and those of the submodules that it is in. The error says why it is refused.
pub(super) fn address_of(base: &str, urls: &[String]) -> Result<String, String> {
    urls.iter().try_fold(base.to_owned(), |address, url| {
        resolve(&address, url).map_err(|why| format!("{}: {why}", excerpt(url)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTPS: &str = "https://github.com/acme/auth.git";
    const SSH: &str = "git@github.com:acme/auth.git";

    #[test]
    fn a_submodule_beside_the_repository_has_an_address() {
        for (base, url, address) in [
            (HTTPS, "../lib.git", "https://github.com/acme/lib.git"),
            (HTTPS, "./../lib", "https://github.com/acme/lib"),
            (HTTPS, "https://github.com/acme/lib.git", "https://github.com/acme/lib.git"),
            (HTTPS, "https://GitHub.com:443/Acme/lib/", "https://github.com/acme/lib"),
            (HTTPS, "git@github.com:acme/lib.git", "https://github.com/acme/lib.git"),
            (HTTPS, "ssh://git@github.com/acme/lib.git", "https://github.com/acme/lib.git"),
            (SSH, "../lib.git", "git@github.com:acme/lib.git"),
            (SSH, "https://github.com/acme/lib.git", "git@github.com:acme/lib.git"),
            ("git@git.test:/srv/auth", "../lib", "git@git.test:/srv/lib"),
            (
                "ssh://git@git.test:2222/acme/auth",
                "ssh://git@git.test:2222/acme/lib",
                "ssh://git@git.test:2222/acme/lib",
            ),
            ("https://git.test/a/b/auth", "../lib", "https://git.test/a/b/lib"),
        ] {
            assert_eq!(resolve(base, url).as_deref(), Ok(address), "{base} {url}");
        }
    }

    #[test]
    fn a_submodule_elsewhere_is_refused() {
        for (base, url, says) in [
            (HTTPS, "https://evil.test/acme/lib.git", "on evil.test"),
            (HTTPS, "https://github.com.evil.test/acme/lib.git", "on github.com.evil.test"),
            (HTTPS, "https://github.com:8443/acme/lib.git", "on github.com:8443"),
            (HTTPS, "https://github.com@evil.test/acme/lib.git", "on evil.test"),
            (HTTPS, "https://github.com/evil/lib.git", "of evil"),
            (HTTPS, "../../evil/lib.git", "of evil"),
            (HTTPS, "../sub/lib.git", "of acme/sub"),
            (HTTPS, "../../../lib.git", "leads out"),
            (HTTPS, "../..", "characters"),
            (HTTPS, "https://github.com/acme/..", "characters"),
            (HTTPS, "https://github.com/acme/a%2f..%2fb", "characters"),
            (HTTPS, "https://github.com/acme/x/../../evil/lib", "has no owner"),
            (HTTPS, "https://github.com/acme/-x", "characters"),
            (HTTPS, "git://github.com/acme/lib", "neither"),
            (HTTPS, "file:///etc", "neither"),
            (HTTPS, "/srv/lib", "neither"),
            (HTTPS, "ext::sh -c id", "neither"),
            (HTTPS, "", "neither"),
            ("/srv/git/auth", "../lib", "no server"),
        ] {
            let error = resolve(base, url).unwrap_err();
            assert!(error.contains(says), "{url}: {error}");
        }
    }

    #[test]
    fn gitmodules_is_read_as_git_reads_it() {
        let text = "# a comment\n[submodule \"lib\"]\n\tpath = modules/lib/\n\turl = \"../lib.git\" ; why\n\tbranch = main\n\
            [other]\n\tx = y\n[submodule \"b c\"]\nPATH=\"b c\"\nurl=https://x/y\nupdate = none\n[submodule \"no path\"]\nurl = z\n";
        let found = modules(text);
        assert_eq!(found.len(), 2);
        let lib =
            Module { url: "../lib.git".to_owned(), branch: Some("main".to_owned()), is_left_out: false };
        assert_eq!(found["modules/lib"], lib);
        assert!(found["b c"].is_left_out && found["b c"].url == "https://x/y");
        assert!(modules("").is_empty() && modules("[submodule").is_empty());
    }
}
