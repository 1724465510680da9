//! How a service runs as a container: its image, its ports, and what of the machine it sees. From the table `[docker]`
//! of the manifest and the repository's Dockerfile. Pure.

use std::path::PathBuf;

/// The runtime's name, and that of its table in the manifest.
pub const NAME: &str = "docker";
pub const DOCKERFILE: &str = "Dockerfile";
pub const AN_IMAGE: &str =
    "an image with a tag or a digest, like \"ghcr.io/acme/api:1.4\" or \"postgres@sha256:...\"";

/// A service that runs as a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub image: Image,
    /// Arguments after the image; none: the image's own command.
    pub command: Vec<String>,
    /// The port on which the program listens in the container; none: the published one.
    pub port: Option<u16>,
    /// Who runs it in the container; none: as the image says.
    pub user: Option<String>,
    pub is_read_only: bool,
    /// Directories of the container that are writable and empty at each start.
    pub writable: Vec<String>,
    pub volumes: Vec<Volume>,
    /// The variable of the secret with `user:password` for the registry. The container does not get it.
    pub login: Option<String>,
    /// The path of docker's client.
    pub docker: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// Of a registry.
    Named(String),
    /// Built from the repository.
    Built { dockerfile: String, target: Option<String> },
}

/// A directory of the service's data at a path of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    pub name: String,
    pub path: String,
}

impl Volume {
    /// `uploads:/app/uploads`
    pub fn parse(text: &str) -> Option<Volume> {
        let (name, path) = text.split_once(':')?;
        let fits = is_word(name) && is_path(path);
        fits.then(|| Volume { name: name.to_owned(), path: path.to_owned() })
    }
}

pub fn is_volume(text: &str) -> bool {
    Volume::parse(text).is_some()
}

/// The name of a directory, of a stage or of a user.
fn is_word(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.len() <= 64
        && characters.all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

pub fn is_target(text: &str) -> bool {
    is_word(text)
}

/// `node`, `1000` or `1000:1000`. The unit's docker has no option to run a container as another user of the machine: this
/// is a user inside of it.
pub fn is_user(text: &str) -> bool {
    text.split(':').count() <= 2 && text.split(':').all(is_word)
}

/// An absolute path of the container. Not its root: docker mounts nothing there.
pub fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+@/".contains(c);
    text.len() <= 200
        && text.starts_with('/')
        && text.chars().all(plain)
        && text.split('/').any(|part| !part.is_empty() && part != ".")
        && text.split('/').all(|part| part != "..")
}

/// The path of a Dockerfile, relative to the repository.
pub fn is_dockerfile(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+@/".contains(c);
    (1..=200).contains(&text.len())
        && text.chars().all(plain)
        && text
            .split('/')
            .all(|part| !part.is_empty() && part != ".." && part != "." && !part.starts_with('-'))
}

/// A reference as docker has them: a name with a tag or a digest. Without either, docker would take `latest`, which names
/// another image at each pull.
pub fn is_image(text: &str) -> bool {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let is_digest = |digest: &str| {
        digest.strip_prefix("sha256:").is_some_and(|hex| {
            hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let (path, tag) = tag(name);
    let is_tag = |tag: &str| {
        (1..=128).contains(&tag.len())
            && !tag.starts_with(['.', '-'])
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    text.len() <= 400
        && (tag.is_some() || digest.is_some())
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
        && is_repository(path)
}

/// `localhost:5000/acme/api:1.4` has the tag `1.4`, and a port that is not one.
fn tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    }
}

fn is_repository(path: &str) -> bool {
    let part = |part: &str| {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        ends(part.chars().next())
            && ends(part.chars().last())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
    };
    let (host, rest) = match path.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), rest),
        _ => (None, path),
    };
    let is_host = |host: &str| {
        let (name, port) = host.split_once(':').unwrap_or((host, "443"));
        port.parse::<u16>().is_ok()
            && !name.is_empty()
            && !name.starts_with('-')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
    };
    host.is_none_or(is_host) && rest.split('/').all(part)
}

/// The only port that a Dockerfile exposes; none if it names several, or a variable.
pub fn exposed<'a>(instructions: impl Iterator<Item = &'a str>) -> Option<u16> {
    let mut found: Option<u16> = None;
    for line in instructions {
        let mut words = line.split_whitespace();
        if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("EXPOSE")) {
            continue;
        }
        for word in words {
            let port = match word.split_once('/') {
                Some((_, "udp")) => continue,
                Some((port, _)) => port,
                None => word,
            };
            let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
            if found.is_some_and(|other| other != port) {
                return None;
            }
            found = Some(port);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_tag_or_a_digest() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        for image in [
            "nginx:1.27",
            "acme/api:v1",
            "ghcr.io/acme/api:1.4",
            "localhost:5000/x:1",
            "127.0.0.1:5000/a/b:1",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api:1",
            &format!("nginx@{digest}"),
            &format!("ghcr.io/acme/api:1@{digest}"),
        ] {
            assert!(is_image(image), "{image}");
        }
        for image in [
            "nginx",
            "localhost:5000/nginx",
            "",
            ":1",
            "nginx:",
            "-x:1",
            "Nginx:1",
            "a b:1",
            "a:1 --privileged",
            "nginx:1@sha256:aa",
            "nginx@latest",
            "http://ghcr.io/a:1",
            "user:pw@ghcr.io/a:1",
            "a/../b:1",
            "a//b:1",
        ] {
            assert!(!is_image(image), "{image}");
        }
    }

    #[test]
    fn paths_and_words_cannot_leave_their_place() {
        assert_eq!(
            Volume::parse("uploads:/app/uploads"),
            Some(Volume { name: "uploads".to_owned(), path: "/app/uploads".to_owned() })
        );
        for volume in
            ["/etc:/etc", "..:/x", ".:/x", "a:/", "a:/x/../y", "a:x", "a", "a:/x:rw", "a/b:/x", "a:/x,ro"]
        {
            assert!(!is_volume(volume), "{volume}");
        }
        for file in ["Dockerfile", "docker/web.Dockerfile"] {
            assert!(is_dockerfile(file), "{file}");
        }
        for file in ["", "/Dockerfile", "../Dockerfile", "-f", "a/-f", "a//b", "a b"] {
            assert!(!is_dockerfile(file), "{file}");
        }
        for (user, fits) in
            [("node", true), ("1000:1000", true), ("", false), ("a:b:c", false), ("-u", false)]
        {
            assert_eq!(is_user(user), fits, "{user}");
        }
    }

    #[test]
    fn a_single_exposed_port_is_the_container_s() {
        let of = |text: &str| exposed(text.lines());
        assert_eq!(of("FROM a\nexpose 8080/tcp\n"), Some(8080));
        assert_eq!(of("EXPOSE 80\nEXPOSE 80/tcp\nEXPOSE 53/udp"), Some(80));
        for text in ["FROM a", "EXPOSE 80 443", "EXPOSE $PORT", "EXPOSE 8000-8010", "EXPOSE 0"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
