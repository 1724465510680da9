//! The HTTP client of the child processes, with the policy's proxy and CA file. Every wait has a time limit.

use ureq::Agent;

use super::trust;
use crate::error::{Code, Error, Result};
use crate::facts::{Network, Proxy};
use crate::machine::jail::request::Timeouts;

/// A client that follows no redirect by itself, and returns every HTTP status as a response, not as an error.
pub fn agent(network: &Network, timeouts: &Timeouts, user_agent: &str) -> Result<Agent> {
    Ok(Agent::config_builder()
        .tls_config(trust::tls(network.ca_file.as_ref())?)
        // Always set: ureq's default reads the environment.
        .proxy(network.proxy.as_ref().map(|address| proxy(address, network)).transpose()?)
        .user_agent(user_agent)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_resolve(Some(timeouts.connect))
        .timeout_connect(Some(timeouts.connect))
        // Every byte restarts these limits: a slow transfer may continue, a stalled one ends.
        .timeout_per_read(Some(timeouts.stall))
        .timeout_per_write(Some(timeouts.stall))
        .build()
        .new_agent())
}

fn proxy(address: &Proxy, network: &Network) -> Result<ureq::Proxy> {
    let wrong = |error: ureq::Error| {
        Error::new(Code::PolicyInvalid, format!("reading the proxy's address {address}"), error)
    };
    let plain = ureq::Proxy::new(address.as_str()).map_err(wrong)?;
    let builder = ureq::Proxy::builder(plain.protocol()).host(plain.host()).port(plain.port());
    // A host without proxy includes its subdomains, as for other programs that read no_proxy.
    let direct = network.direct().into_iter().flat_map(|host| [host.to_owned(), format!(".{host}")]);
    direct.fold(builder, |builder, host| builder.no_proxy(&host)).build().map_err(wrong)
}
