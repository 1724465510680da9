//! Access to private registries for a release's install commands, and its variables.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::network;
use super::runtime::{Recipe, Work};
use crate::facts::{CaFile, Mirrors, Network, Proxy};
use crate::fault::Phase;
use crate::plan::{PROXY, RegistryAccess};

/// The value of a token's variable in the commands. Files such as `.npmrc` name the variable, and some package managers
/// fail if it is not set; the proxy replaces what they send.
const PLACEHOLDER: &str = "added-by-bootagent";

/// Variables for plain http, which the proxy does not carry.
const PLAIN: [&str; 4] = ["http_proxy", "HTTP_PROXY", "npm_config_proxy", "YARN_HTTP_PROXY"];

/// The access of the commands of one directory; `None` if the policy names no registry for this service and its runtime.
pub fn access(draft: &Draft, recipe: &Recipe) -> Option<RegistryAccess> {
    let Draft { wanted, layout, .. } = draft;
    let selection = wanted.selection;
    let registries: Vec<_> = selection
        .registries
        .iter()
        .filter(|registry| recipe.of.mirrors.contains(&registry.kind.as_str()))
        .cloned()
        .collect();
    if registries.is_empty() {
        return None;
    }
    Some(RegistryAccess {
        secret: selection.install_secret.clone(),
        registries,
        network: selection.network.clone(),
        unit: layout.transient("registries"),
        certificates: layout.certificates(),
    })
}

/// Whether a command may ask registries for packages.
pub fn installs(work: &Work) -> bool {
    work.phase == Phase::Install || work.name.ends_with("prune-dependencies")
}

/// A placeholder for each token, for all commands of a build.
pub fn placeholders(access: &RegistryAccess) -> BTreeMap<String, String> {
    let names = access.registries.iter().map(|registry| registry.token.clone());
    names.map(|name| (name, PLACEHOLDER.to_owned())).collect()
}

/// The variables by which a command reaches everything over https through the proxy.
pub fn environment(recipe: &Recipe, access: &RegistryAccess, mirrors: &Mirrors) -> BTreeMap<String, String> {
    let certificates = access.certificates.display().to_string();
    let through = Network {
        proxy: Proxy::try_from(PROXY).ok(),
        no_proxy: Vec::new(),
        ca_file: CaFile::try_from(certificates.clone()).ok(),
        ..access.network.clone()
    };
    let mut variables = network::environment(&through, (recipe.of.network)(&through, mirrors));
    variables.retain(|name, _| !PLAIN.contains(&name.as_str()));
    let bundles = recipe.of.bundles.iter().map(|name| ((*name).to_owned(), certificates.clone()));
    variables.extend(bundles);
    variables
}
