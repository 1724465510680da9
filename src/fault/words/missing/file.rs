//! The same for a file that is not there. Pure.

use super::is_harmless;

/// `ENOENT: no such file or directory, open 'config.js'`, `FileNotFoundError: [Errno 2] No such file or directory: 'config.yml'`
pub fn remedy(reason: &str) -> Option<String> {
    let of_node = || {
        let (_, rest) = reason.split_once("ENOENT: no such file or directory, ")?;
        rest.split_once(" '")
            .filter(|(call, _)| !call.contains(' ') && *call != "mkdir")
            .map(|(_, rest)| rest)
    };
    let of_python = || {
        let (_, rest) = reason.split_once("FileNotFoundError: [Errno 2] No such file or directory: '")?;
        Some(rest)
    };
    let path = of_node().or_else(of_python)?.split('\'').next().filter(|path| is_harmless(path))?;
    let path = of_the_release(path)?;
    if is_secret(path) {
        return Some(format!(
            "{path} is not in the release, and what it has does not belong into a repository: bootagent makes it of the secret's \
             variables (env.file for .env, env.files for another file); then: bootagent update"
        ));
    }
    Some(format!(
        "{path} is not in the release: commit it, let a build make it (build = \"cp EXAMPLE {path}\" in bootagent.toml), or have \
         it made of the variables (env.files); then: bootagent update"
    ))
}

/// Whether a file of this name usually has secret values.
fn is_secret(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let says = ["secret", "credential", "serviceaccount", "service-account", "service_account", "private"];
    let ends = [".pem", ".key", ".p12", ".pfx", ".jks"];
    name.starts_with(".env")
        || says.iter().any(|word| name.contains(word))
        || ends.iter().any(|end| name.ends_with(end))
}

/// The path in the release. None: it is elsewhere.
fn of_the_release(path: &str) -> Option<&str> {
    if !path.starts_with(['/', '~']) {
        return Some(path.strip_prefix("./").unwrap_or(path)).filter(|path| !path.starts_with(".."));
    }
    let (_, rest) = path.strip_prefix("/opt/")?.split_once('/')?;
    let below = rest.strip_prefix("current/");
    below.or_else(|| rest.strip_prefix("releases/")?.split_once('/').map(|(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::super::{Of, remedy};

    #[test]
    fn a_file_with_secrets_is_not_to_be_committed() {
        for file in [".env", "config/serviceAccountKey.json", "certs/server.pem", ".env.production"] {
            let found =
                remedy(&format!("Error: ENOENT: no such file or directory, open '{file}'"), Of::Service)
                    .unwrap();
            assert!(found.contains("env.files") && !found.contains("commit it"), "{file}: {found}");
        }
    }

    #[test]
    fn a_file_of_the_release_is_committed_or_built() {
        for reason in [
            "Error: ENOENT: no such file or directory, watch 'config.js'",
            "Error: ENOENT: no such file or directory, open '/opt/web/releases/ab-12/config.js'",
            "Error: ENOENT: no such file or directory, open '/opt/web/current/config.js'",
            "FileNotFoundError: [Errno 2] No such file or directory: './config.js'",
        ] {
            let found = remedy(reason, Of::Service).unwrap_or_default();
            assert!(found.starts_with("config.js is not in the release: commit it"), "{reason}: {found}");
        }
    }

    #[test]
    fn other_files_have_no_remedy() {
        for path in ["/etc/x", "../x", "$(id)", "", "/opt/web", "~/x"] {
            assert_eq!(
                remedy(&format!("Error: ENOENT: no such file or directory, open '{path}'"), Of::Service),
                None
            );
        }
        assert_eq!(remedy("Error: ENOENT: no such file or directory, mkdir 'data/x'", Of::Service), None);
    }
}
