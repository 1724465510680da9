//! npm's settings, from variables and `.npmrc` files: those that change what an installation makes. One that is not known
//! here is npm's.

use super::address::{Address, PUBLIC, Replace};
use super::credentials::Credentials;
use super::{Obstacle, Result, for_npm, ini, quoted};

/// The text of a `.npmrc`, and how messages name it.
pub struct Layer {
    pub file: String,
    pub text: String,
    /// Whether the repository brings it.
    pub is_of_project: bool,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub registry: Address,
    pub replace: Replace,
    /// Scopes with a registry of their own, such as `@acme`.
    pub scopes: Vec<String>,
    pub credentials: Credentials,
    pub with_peers: bool,
    pub runs_scripts: bool,
    pub is_strict: bool,
    pub proxy: Option<String>,
    pub no_proxy: Vec<String>,
    /// Replaces the machine's certificates.
    pub ca_file: Option<String>,
}

/// Settings that change only output, commands other than `ci`, how packages are published or resolved, how scripts run,
/// or what other package managers do.
const IGNORED: &[&str] = &[
    "access",
    "audit",
    "audit-level",
    "auto-install-peers",
    "cache",
    "call",
    "color",
    "commit-hooks",
    "depth",
    "description",
    "devdir",
    "diff",
    "disturl",
    "dist-url",
    "editor",
    "email",
    "fetch-retries",
    "fetch-retry-factor",
    "fetch-retry-maxtimeout",
    "fetch-retry-mintimeout",
    "fetch-timeout",
    "foreground-scripts",
    "format-package-lock",
    "fund",
    "git",
    "git-tag-version",
    "heading",
    "hoist",
    "hoist-pattern",
    "ignore-workspace-root-check",
    "init-author-email",
    "init-author-name",
    "init-author-url",
    "init-license",
    "init-module",
    "init-version",
    "json",
    "link-workspace-packages",
    "location",
    "lockfile-version",
    "loglevel",
    "logs-dir",
    "logs-max",
    "long",
    "manage-package-manager-versions",
    "maxsockets",
    "message",
    "node-linker",
    "node-options",
    "nodedir",
    "otp",
    "package-import-method",
    "package-manager-strict",
    "package-lock",
    "parseable",
    "prefer-offline",
    "prefer-online",
    "prefer-workspace-packages",
    "preid",
    "progress",
    "provenance",
    "public-hoist-pattern",
    "python",
    "resolution-mode",
    "rebuild-bundle",
    "save",
    "save-bundle",
    "save-dev",
    "save-exact",
    "save-optional",
    "save-peer",
    "save-prefix",
    "save-prod",
    "save-workspace-protocol",
    "script-shell",
    "scripts-prepend-node-path",
    "searchlimit",
    "shamefully-hoist",
    "shared-workspace-lockfile",
    "shell-emulator",
    "side-effects-cache",
    "sign-git-commit",
    "sign-git-tag",
    "store-dir",
    "strict-peer-dependencies",
    "strict-peer-deps",
    "tag",
    "tag-version-prefix",
    "timing",
    "unicode",
    "unsafe-perm",
    "update-notifier",
    "usage",
    "use-node-version",
    "user-agent",
    "verify-store-integrity",
    "version",
    "viewer",
    "yes",
    "metrics-registry",
    "node-gyp",
    "node-version",
    "always-auth",
    "dedupe-peer-dependents",
    "enable-pre-post-scripts",
];

impl Settings {
    /// `variables` are those of the environment, `files` in the order in which they count.
    pub fn read(variables: &[(String, String)], files: &[Layer]) -> Result<Settings> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(other, _)| other == name);
            found.map(|(_, value)| value.clone())
        };
        let mut all: Vec<(String, String, bool)> =
            of_environment(variables).map(|(key, value)| (key, value, false)).collect();
        for layer in files {
            let read = ini::parse(&layer.file, &layer.text, &variable)?;
            all.extend(read.into_iter().map(|(key, value)| (key, value, layer.is_of_project)));
        }
        let first =
            |key: &str| all.iter().find(|(other, ..)| other == key).map(|(_, value, _)| value.as_str());
        let is_on = |key: &str, usually: bool| match first(key) {
            None => Ok(usually),
            Some("true" | "") => Ok(true),
            Some("false" | "null") => Ok(false),
            Some(other) => for_npm(format!("the setting {key} of npm is {}", quoted(other))),
        };
        let public = format!("https://{PUBLIC}/");
        let registry = first("registry").unwrap_or(&public);
        let Some(registry) = Address::parse(registry) else {
            return for_npm(format!("the registry {} is not a plain https address", quoted(registry)));
        };
        let replace = match first("replace-registry-host") {
            None | Some("npmjs") => Replace::Only(PUBLIC.to_owned()),
            Some("always") => Replace::Always,
            Some("never") => Replace::Never,
            Some(host) if Address::parse(&format!("https://{host}/")).is_some() => {
                Replace::Only(host.to_owned())
            }
            Some(other) => return for_npm(format!("replace-registry-host is {}", quoted(other))),
        };
        let mut credentials = Credentials::default();
        for (key, value, is_of_project) in &all {
            match known(key) {
                Known::Credential => credentials.add(key, value)?,
                Known::Read | Known::Ignored => {}
                // An absolute path is of the machine, also if the repository names it.
                Known::OfTheMachine if !is_of_project || key == "cafile" && value.starts_with('/') => {}
                Known::OfTheMachine | Known::No => return Err(changes(key)),
            }
        }
        if !is_on("strict-ssl", true)? {
            return Err(changes("strict-ssl"));
        }
        let proxy = first("https-proxy").or_else(|| first("proxy")).map(str::to_owned);
        let proxy = proxy.or_else(|| variable("HTTPS_PROXY")).or_else(|| variable("https_proxy"));
        let no_proxy = first("noproxy").map(str::to_owned);
        let no_proxy = no_proxy.or_else(|| variable("NO_PROXY")).or_else(|| variable("no_proxy"));
        let scopes = all.iter().filter_map(|(key, ..)| key.strip_suffix(":registry"));
        Ok(Settings {
            registry,
            replace,
            scopes: scopes.map(str::to_owned).collect(),
            credentials,
            with_peers: !is_on("legacy-peer-deps", false)?,
            runs_scripts: !is_on("ignore-scripts", false)?,
            is_strict: is_on("engine-strict", false)?,
            proxy: proxy.filter(|proxy| !proxy.is_empty() && proxy != "null" && proxy != "false"),
            no_proxy: no_proxy
                .unwrap_or_default()
                .split(',')
                .map(|host| host.trim().to_owned())
                .filter(|host| !host.is_empty())
                .collect(),
            ca_file: first("cafile").map(str::to_owned),
        })
    }
}

/// `npm_config_fetch_retries` is the setting `fetch-retries`.
fn of_environment(variables: &[(String, String)]) -> impl Iterator<Item = (String, String)> {
    variables.iter().filter_map(|(name, value)| {
        let start = name.get(..11).filter(|start| start.eq_ignore_ascii_case("npm_config_"))?;
        let key = name.get(start.len()..).filter(|_| !value.is_empty())?;
        let key = match key.starts_with("//") || key.starts_with('@') {
            true => key.to_owned(),
            false => key.to_ascii_lowercase().replace('_', "-"),
        };
        Some((key, value.clone()))
    })
}

enum Known {
    Read,
    Credential,
    Ignored,
    /// Read of the machine's files and variables only.
    OfTheMachine,
    No,
}

fn known(key: &str) -> Known {
    match key {
        "registry"
        | "replace-registry-host"
        | "legacy-peer-deps"
        | "ignore-scripts"
        | "engine-strict"
        | "strict-ssl" => Known::Read,
        "https-proxy" | "proxy" | "noproxy" | "cafile" => Known::OfTheMachine,
        _ if key.starts_with("//") => Known::Credential,
        _ if key.starts_with('@') && key.ends_with(":registry") => Known::Ignored,
        _ if key.starts_with("init-") || key.starts_with("init.") || IGNORED.contains(&key) => Known::Ignored,
        // Of programs that install scripts bring, such as `sass_binary_site`: npm's own have no underscore, but for `_auth`.
        _ if key.find('_').is_some_and(|at| at > 0) => Known::Ignored,
        _ => Known::No,
    }
}

fn changes(key: &str) -> Obstacle {
    Obstacle::ForNpm(format!("npm's setting {} may change what is installed", quoted(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)], project: &str) -> Result<Settings> {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let layer = Layer { file: ".npmrc".to_owned(), text: project.to_owned(), is_of_project: true };
        Settings::read(&variables, &[layer])
    }

    #[test]
    fn variables_count_more_than_files() {
        let settings = read(
            &[("npm_config_registry", "https://mirror.test/")],
            "registry=https://r.test/\nlegacy-peer-deps=true",
        )
        .unwrap();
        assert_eq!((settings.registry.host.as_str(), settings.with_peers), ("mirror.test", false));
        let plain = read(&[], "").unwrap();
        assert_eq!(
            (plain.registry.host.as_str(), plain.with_peers, plain.runs_scripts, plain.is_strict),
            (PUBLIC, true, true, false)
        );
        let proxied = read(
            &[("npm_config_https_proxy", "http://p.test:3128"), ("npm_config_noproxy", "a.test, b.test")],
            "",
        )
        .unwrap();
        assert_eq!(
            (proxied.proxy.as_deref(), proxied.no_proxy),
            (Some("http://p.test:3128"), vec!["a.test".to_owned(), "b.test".to_owned()])
        );
    }

    #[test]
    fn what_may_change_the_tree_is_for_npm() {
        for text in [
            "install-links=true",
            "install-strategy=nested",
            "omit=optional",
            "include=dev",
            "bin-links=false",
            "global-style",
            "umask=077",
            "os=darwin",
            "strict-ssl=false",
            "ca=x",
            "cafile=ca.pem",
            "proxy=http://p",
            "https-proxy=http://p",
            "unknown=1",
            "_auth=x",
            "//r/:certfile=x",
            "before=2020-01-01",
            "registry=http://r.test/",
            "replace-registry-host=a b",
            "ignore-scripts=maybe",
            "workspaces=false",
            "dry-run=true",
            "force=true",
        ] {
            assert!(read(&[], text).is_err(), "{text}");
        }
        assert!(read(&[("NPM_CONFIG_OMIT", "optional")], "").is_err());
        assert!(
            read(&[("NPM_CONFIG_OMIT", "")], "fund=false\nsave-exact=true\n@acme:registry=https://r.test/")
                .is_ok()
        );
        for text in ["strict-ssl=true", "sass_binary_site=https://m.test/x", "sharp_binary_host = x"] {
            assert!(read(&[], text).is_ok(), "{text}");
        }
    }
}
