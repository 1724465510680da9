//! The HTTP client of the children: by the policy's proxy, trusting whom the policy trusts, and never waiting for ever.

use ureq::Agent;

use super::trust;
use crate::error::{Code, Error, Result};
use crate::facts::{Network, Proxy};
use crate::machine::jail::request::Timeouts;

/// One that follows no redirect by itself, and takes no answer for an error.
pub fn agent(network: &Network, timeouts: &Timeouts, user_agent: &str) -> Result<Agent> {
    Ok(Agent::config_builder()
        .tls_config(trust::tls(network.ca_file.as_ref())?)
        // Always set: ureq's default reads the environment.
        .proxy(network.proxy.as_ref().map(|at| proxy(at, network)).transpose()?)
        .user_agent(user_agent)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_resolve(Some(timeouts.connect))
        .timeout_connect(Some(timeouts.connect))
        // Each renewed by every byte that passes: a slow transfer may go on, a dead one ends.
        .timeout_per_read(Some(timeouts.stall))
        .timeout_per_write(Some(timeouts.stall))
        .build()
        .new_agent())
}

fn proxy(at: &Proxy, network: &Network) -> Result<ureq::Proxy> {
    let wrong = |error: ureq::Error| {
        Error::new(Code::PolicyInvalid, format!("reading the proxy's address {at}"), error)
    };
    let plain = ureq::Proxy::new(at.as_str()).map_err(wrong)?;
    let builder = ureq::Proxy::builder(plain.protocol()).host(plain.host()).port(plain.port());
    // A host stands for itself and for all below it, as with all others who are told of it.
    let direct = network.direct().into_iter().flat_map(|host| [host.to_owned(), format!(".{host}")]);
    direct.fold(builder, |builder, host| builder.no_proxy(&host)).build().map_err(wrong)
}
