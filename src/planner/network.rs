//! The network's settings as the programs of a build read them.

use std::collections::BTreeMap;

use crate::facts::{Mirrors, Network};

/// Not part of a recipe: another way to the same packages makes no other release.
pub fn environment(network: &Network, mirrors: &Mirrors) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut tell = |names: &[&str], value: &str| {
        variables.extend(names.iter().map(|name| ((*name).to_owned(), value.to_owned())));
    };
    if let Some(proxy) = &network.proxy {
        // curl and its like read HTTP_PROXY only in lower case, others only the rest in upper case; npm
        // reads a repository's .npmrc before either, but its own variables before that.
        let proxied = [
            "http_proxy",
            "HTTP_PROXY",
            "https_proxy",
            "HTTPS_PROXY",
            "npm_config_proxy",
            "npm_config_https_proxy",
        ];
        tell(&proxied, proxy.as_str());
        tell(&["no_proxy", "NO_PROXY", "npm_config_noproxy"], &network.direct().join(","));
        // Without it, node's own requests pass the proxy by (from 22.21 and 24 on it is read).
        tell(&["NODE_USE_ENV_PROXY"], "1");
    }
    if let Some(file) = &network.ca_file {
        // Beside node's own certificates. npm's cafile would stand in their place.
        tell(&["NODE_EXTRA_CA_CERTS"], file.as_str());
    }
    if let Some(mirror) = &mirrors.npm {
        tell(&["npm_config_registry"], &format!("{mirror}/"));
    }
    if let Some(mirror) = &mirrors.node {
        // Where node-gyp looks for headers. npm's own words for it, disturl and dist-url, are none that it knows.
        tell(&["NODEJS_ORG_MIRROR"], mirror.as_str());
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_nothing_is_told() {
        assert_eq!(environment(&Network::default(), &Mirrors::default()), BTreeMap::new());
        let network = Network { no_proxy: vec!["acme.test".try_into().unwrap()], ..Network::default() };
        assert_eq!(environment(&network, &Mirrors::default()), BTreeMap::new());
    }

    #[test]
    fn mirrors_are_told_each_to_its_own_readers() {
        let mirrors = Mirrors { npm: Some("https://npm.test".try_into().unwrap()), node: None };
        let told = environment(&Network::default(), &mirrors);
        assert_eq!(told, [("npm_config_registry".into(), "https://npm.test/".into())].into());
        let mirrors = Mirrors { npm: None, node: Some("https://node.test/dist".try_into().unwrap()) };
        let told = environment(&Network::default(), &mirrors);
        assert_eq!(told, [("NODEJS_ORG_MIRROR".into(), "https://node.test/dist".into())].into());
    }

    #[test]
    fn whoever_is_told_of_the_proxy_is_told_what_is_reached_without_it() {
        let network = Network { proxy: Some("http://proxy:3128".try_into().unwrap()), ..Network::default() };
        let told = environment(&network, &Mirrors::default());
        for (proxy, direct) in [
            ("https_proxy", "no_proxy"),
            ("HTTPS_PROXY", "NO_PROXY"),
            ("npm_config_https_proxy", "npm_config_noproxy"),
        ] {
            assert_eq!(told[proxy], "http://proxy:3128");
            assert!(told[direct].contains("169.254.169.254"), "{direct}");
        }
    }
}
