//! Variables of Node's tools: for proxies, certificates and mirrors, for builds, and for migrations. Pure.

use std::collections::BTreeMap;

use super::manager::Selected;
use super::version::Node;
use crate::facts::{Facts, Mirrors, Network, Source};
use crate::plan::layout::Layout;
use crate::planner::runtime::recipe::RecipeInputs;

/// Proxy, CA file and mirrors as variables of npm and node. For npm, a `.npmrc` of the repository overrides
/// `HTTPS_PROXY`, but not `npm_config_*`.
pub fn network(network: &Network, mirrors: &Mirrors) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
    if let Some(proxy) = &network.proxy {
        set("npm_config_proxy", proxy.as_str());
        set("npm_config_https_proxy", proxy.as_str());
        set("npm_config_noproxy", &network.direct().join(","));
        // Node 22.21 and 24 or newer use the proxy for their own requests only with this variable.
        set("NODE_USE_ENV_PROXY", "1");
        set("YARN_HTTP_PROXY", proxy.as_str());
        set("YARN_HTTPS_PROXY", proxy.as_str());
        // Since its version 11 pnpm reads no variable of npm's, and a `.npmrc` of the repository overrides `HTTPS_PROXY`.
        set("pnpm_config_https_proxy", proxy.as_str());
        set("pnpm_config_noproxy", &network.direct().join(","));
    }
    if let Some(file) = &network.ca_file {
        // Adds to Node's certificates. npm's `cafile` would replace them.
        set("NODE_EXTRA_CA_CERTS", file.as_str());
        set("YARN_HTTPS_CA_FILE_PATH", file.as_str());
    }
    if let Some(mirror) = mirrors.get("npm") {
        set("npm_config_registry", &format!("{mirror}/"));
        set("YARN_REGISTRY", &format!("{mirror}/"));
        set("YARN_NPM_REGISTRY_SERVER", mirror.as_str());
        set("BUN_CONFIG_REGISTRY", &format!("{mirror}/"));
        set("pnpm_config_registry", &format!("{mirror}/"));
    }
    if let Some(mirror) = mirrors.get("node") {
        // node-gyp downloads headers from it. npm does not know the settings disturl and dist-url.
        set("NODEJS_ORG_MIRROR", mirror.as_str());
    }
    variables
}

/// Variables of install and build commands. Node's own dependencies of a build are installed although NODE_ENV says
/// "production", as it does in the builds of Heroku, Render and Railway: each manager is told so by a flag.
pub fn build(
    inputs: &RecipeInputs,
    root: &Source,
    selected: &Selected,
    node: &Node,
) -> BTreeMap<String, String> {
    let mut environment = tools(inputs.layout);
    if let Some(prefix) = node.bin.parent().filter(|_| node.has_headers) {
        // Else node-gyp downloads the headers: one more site on which a boot would depend.
        environment.insert("npm_config_nodedir".to_owned(), prefix.display().to_string());
    }
    let cache = inputs.layout.cache().join(selected.manager.cache).display().to_string();
    let own = selected.manager.variables.iter();
    environment.extend(own.map(|(name, value)| ((*name).to_owned(), value.replace("{cache}", &cache))));
    // The manifest's own install commands have no such flag.
    if inputs.manifest.install.is_none() {
        environment.insert("NODE_ENV".to_owned(), "production".to_owned());
    }
    if inputs.manifest.said("node", "version").is_some() {
        let any_engine = selected.manager.any_engine.iter();
        environment.extend(any_engine.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }
    let commit = inputs.source.commit.as_str();
    // Ours, Heroku's, Render's, Railway's.
    for name in ["SOURCE_COMMIT", "SOURCE_VERSION", "RENDER_GIT_COMMIT", "RAILWAY_GIT_COMMIT_SHA"] {
        environment.insert(name.to_owned(), commit.to_owned());
    }
    if selected.is_pnp(root) {
        // The release must hold its packages itself: Node reads them from there.
        environment.insert("YARN_ENABLE_GLOBAL_CACHE".to_owned(), "false".to_owned());
    }
    // Public by definition: a front end's build puts them into what it makes.
    let values = inputs.manifest.env.values.iter();
    environment.extend(values.map(|(name, value)| (name.clone(), value.clone())));
    environment
}

/// Variables of npm, which also installs the other package managers, and of all tools.
pub fn tools(layout: &Layout) -> BTreeMap<String, String> {
    let cache = |name: &str| layout.cache().join(name).display().to_string();
    [
        ("CI", "true".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("npm_config_cache", cache("npm")),
        // Node's own list of certificates lacks those that the operator added to the system's.
        ("NODE_USE_SYSTEM_CA", "1".to_owned()),
        // Private, and gone with the command: nothing that one commit writes there meets the next.
        ("HOME", "/tmp".to_owned()),
        // Not in HOME, which some releases keep.
        ("npm_config_devdir", cache("node-gyp")),
        // npm retries each download five times within half a minute. Then bootagent repeats the whole installation.
        ("npm_config_fetch_retries", "5".to_owned()),
        ("npm_config_fetch_retry_factor", "3".to_owned()),
        ("npm_config_fetch_retry_maxtimeout", "10000".to_owned()),
        ("npm_config_fetch_retry_mintimeout", "500".to_owned()),
        ("npm_config_update_notifier", "false".to_owned()),
        ("DO_NOT_TRACK", "1".to_owned()),
        ("NEXT_TELEMETRY_DISABLED", "1".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The same for a tool that all services of the machine use. An install script can write to its service's cache, and npm
/// takes an archive's checksum from there: a forged one would become a program of the other services.
pub fn shared_tools(layout: &Layout) -> BTreeMap<String, String> {
    let mut environment = tools(layout);
    environment.insert("npm_config_cache".to_owned(), SHARED_CACHE.to_owned());
    environment.insert("npm_config_devdir".to_owned(), "/tmp/node-gyp".to_owned());
    environment
}

/// In the unit's private /tmp, so it is empty. Part of the name of a tool's directory: one that was made with another
/// cache is not used again.
pub const SHARED_CACHE: &str = "/tmp/npm";

/// What another manager than npm tells the scripts that it runs: programs read from it which one a project has, and take
/// npm if it is not there.
pub fn user_agent(facts: &Facts, node: &Node, selected: &Selected) -> Option<String> {
    let arch = match facts.machine.arch.as_str() {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let (name, version) = (selected.manager.name, &selected.version);
    // `validate` knows no machine.
    let is_known = !arch.is_empty() && name != "npm";
    is_known.then(|| format!("{name}/{version} npm/? node/v{} linux {arch}", node.version))
}

/// npm's cache in /tmp: the HOME of a migration is the service's data, where the cache would stay.
pub fn migrate() -> BTreeMap<String, String> {
    let own = [("npm_config_cache", "/tmp/npm"), ("npm_config_update_notifier", "false")];
    own.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().chain(no_fetch()).collect()
}

/// npx runs what is installed, and ends where it would fetch the newest version of a package: that one runs with the
/// service's secrets, and no lockfile names it.
pub fn no_fetch() -> [(String, String); 1] {
    [("npm_config_yes".to_owned(), "false".to_owned())]
}

/// Whether a start line has npx, wherever.
pub fn runs_npx(line: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.@".contains(c);
    line.split(|c: char| !is_part(c)).any(|word| word == "npx")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn npx_fetches_nothing_for_a_service_or_its_migration() {
        assert_eq!(migrate().get("npm_config_yes").map(String::as_str), Some("false"));
        for line in ["npx prisma migrate deploy && node x.js", "a; npx b", "sh -c 'npx x'", "/usr/bin/npx x"]
        {
            assert!(runs_npx(line), "{line}");
        }
        for line in ["node npx.js", "node x.js --npx-y", "node server.js", "anpx", ""] {
            assert!(!runs_npx(line), "{line}");
        }
    }
}
