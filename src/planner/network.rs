//! The network's settings as the programs of a build read them.

use std::collections::BTreeMap;

use super::runtime::Runtime;
use crate::facts::{Mirrors, Network};

/// Not part of a recipe: another way to the same packages makes no other release.
pub fn environment(network: &Network, mirrors: &Mirrors, runtime: &Runtime) -> BTreeMap<String, String> {
    let mut variables = (runtime.network)(network, mirrors);
    let mut tell = |names: &[&str], value: &str| {
        variables.extend(names.iter().map(|name| ((*name).to_owned(), value.to_owned())));
    };
    if let Some(proxy) = &network.proxy {
        // curl and its like read HTTP_PROXY only in lower case, others only the rest in upper case.
        tell(&["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"], proxy.as_str());
        tell(&["no_proxy", "NO_PROXY"], &network.direct().join(","));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::runtime::NODE;

    fn environment(network: &Network, mirrors: &Mirrors) -> BTreeMap<String, String> {
        super::environment(network, mirrors, &NODE)
    }

    #[test]
    fn without_a_word_nothing_is_told() {
        assert_eq!(environment(&Network::default(), &Mirrors::default()), BTreeMap::new());
        let network = Network { no_proxy: vec!["acme.test".try_into().unwrap()], ..Network::default() };
        assert_eq!(environment(&network, &Mirrors::default()), BTreeMap::new());
    }

    #[test]
    fn mirrors_are_told_each_to_its_own_readers() {
        let mirrors = [("npm".to_owned(), "https://npm.test".try_into().unwrap())].into();
        let told = environment(&Network::default(), &mirrors);
        assert_eq!(told, [("npm_config_registry".into(), "https://npm.test/".into())].into());
        let mirrors = [("node".to_owned(), "https://node.test/dist".try_into().unwrap())].into();
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
