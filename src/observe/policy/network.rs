//! The tables `[network]` and `[mirrors]`.

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::facts::{self, CaFile, HostName, Proxy};
use crate::plan::Setting;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    pub proxy: Option<Proxy>,
    pub no_proxy: Option<Vec<HostName>>,
    pub ca_file: Option<CaFile>,
    /// Whether AWS's APIs are called at their FIPS endpoints.
    pub fips: Option<bool>,
    /// Whether AWS's APIs are called at endpoints that IPv6 reaches, too.
    pub dual_stack: Option<bool>,
}

impl Network {
    pub fn is_empty(&self) -> bool {
        *self == Network::default()
    }

    pub fn over(self, under: Network) -> Network {
        Network {
            proxy: self.proxy.or(under.proxy),
            no_proxy: self.no_proxy.or(under.no_proxy),
            ca_file: self.ca_file.or(under.ca_file),
            fips: self.fips.or(under.fips),
            dual_stack: self.dual_stack.or(under.dual_stack),
        }
    }
}

impl Policy {
    pub fn network(&self) -> facts::Network {
        facts::Network {
            proxy: self.uppermost(|fragment| fragment.network.proxy.clone()).map(|found| found.value),
            no_proxy: self.or_default(|fragment| fragment.network.no_proxy.clone()).value,
            ca_file: self.uppermost(|fragment| fragment.network.ca_file.clone()).map(|found| found.value),
            fips: self.or_default(|fragment| fragment.network.fips).value,
            dual_stack: self.or_default(|fragment| fragment.network.dual_stack).value,
        }
    }

    /// All mirrors of all layers, by the name of what they replace.
    pub fn mirrors(&self) -> facts::Mirrors {
        let all = self.layers.iter().flat_map(|(_, fragment)| fragment.mirrors.clone());
        all.collect()
    }

    /// The settings of the network that are set, for the plan.
    pub fn network_settings(&self) -> Vec<Setting> {
        let hosts = |hosts: &Vec<HostName>| hosts.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ");
        let network = [
            self.uppermost(|fragment| fragment.network.proxy.clone())
                .map(|found| found.setting("network.proxy")),
            self.uppermost(|fragment| fragment.network.no_proxy.as_ref().map(hosts))
                .map(|found| found.setting("network.no_proxy")),
            self.uppermost(|fragment| fragment.network.ca_file.clone())
                .map(|found| found.setting("network.ca_file")),
            self.uppermost(|fragment| fragment.network.fips).map(|found| found.setting("network.fips")),
            self.uppermost(|fragment| fragment.network.dual_stack)
                .map(|found| found.setting("network.dual_stack")),
        ];
        let names = self.mirrors().into_keys();
        let mirrors = names.map(|name| {
            self.uppermost(|fragment| fragment.mirrors.get(&name).cloned())
                .map(|found| found.setting(&format!("mirrors.{name}")))
        });
        network.into_iter().chain(mirrors).flatten().collect()
    }
}
