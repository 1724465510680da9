//! The policy's proxy, CA file and mirrors as environment variables of build commands.

use std::collections::BTreeMap;

use crate::facts::Network;

/// The runtime's own variables (`own`), and those that most programs read. Not part of a recipe, so that another proxy
/// or mirror does not make another release of the same commit.
pub fn environment(network: &Network, own: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut variables = own;
    let mut set = |names: &[&str], value: &str| {
        variables.extend(names.iter().map(|name| ((*name).to_owned(), value.to_owned())));
    };
    if let Some(proxy) = &network.proxy {
        // curl reads http_proxy in lower case only; some programs read upper case only.
        set(&["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"], proxy.as_str());
        set(&["no_proxy", "NO_PROXY"], &network.direct().join(","));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Mirrors;
    use crate::planner::runtime::NODE;

    fn environment(network: &Network, mirrors: &Mirrors) -> BTreeMap<String, String> {
        super::environment(network, (NODE.network)(network, mirrors))
    }

    #[test]
    fn without_proxy_and_mirrors_no_variable_is_set() {
        assert_eq!(environment(&Network::default(), &Mirrors::default()), BTreeMap::new());
        let network = Network { no_proxy: vec!["acme.test".try_into().unwrap()], ..Network::default() };
        assert_eq!(environment(&network, &Mirrors::default()), BTreeMap::new());
    }

    #[test]
    fn each_mirror_sets_its_program_s_variable() {
        let mirrors = [("npm".to_owned(), "https://npm.test".try_into().unwrap())].into();
        let variables = environment(&Network::default(), &mirrors);
        assert!(variables.iter().all(|(_, address)| address.trim_end_matches('/') == "https://npm.test"));
        for name in
            ["npm_config_registry", "YARN_REGISTRY", "YARN_NPM_REGISTRY_SERVER", "BUN_CONFIG_REGISTRY"]
        {
            assert!(variables.contains_key(name), "{name}");
        }
        let mirrors = [("node".to_owned(), "https://node.test/dist".try_into().unwrap())].into();
        let variables = environment(&Network::default(), &mirrors);
        assert_eq!(variables, [("NODEJS_ORG_MIRROR".into(), "https://node.test/dist".into())].into());
    }

    #[test]
    fn each_proxy_variable_comes_with_one_that_excludes_imds() {
        let network = Network { proxy: Some("http://proxy:3128".try_into().unwrap()), ..Network::default() };
        let variables = environment(&network, &Mirrors::default());
        for (proxy, direct) in [
            ("https_proxy", "no_proxy"),
            ("HTTPS_PROXY", "NO_PROXY"),
            ("npm_config_https_proxy", "npm_config_noproxy"),
        ] {
            assert_eq!(variables[proxy], "http://proxy:3128");
            assert!(variables[direct].contains("169.254.169.254"), "{direct}");
        }
    }
}
