//! Explains why a request to a git server got no answer.

use ureq::Timeout;

use crate::facts::Proxy;
use crate::fault::Fault;
use crate::machine::jail::request::Timeouts;

/// The timeouts and the proxy of requests, which errors name.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) timeouts: Timeouts,
    pub(super) proxy: Option<Proxy>,
}

impl Route {
    /// The fault and its cause.
    pub(super) fn unreachable(&self, error: &ureq::Error) -> (Fault, String) {
        let Timeouts { stall, connect } = self.timeouts;
        let (fault, cause) = match error {
            ureq::Error::Timeout(Timeout::PerRead) => {
                (Fault::GitStalled, format!("the server sent nothing for {stall:?}"))
            }
            ureq::Error::Timeout(Timeout::PerWrite) => {
                (Fault::GitStalled, format!("the server took nothing for {stall:?}"))
            }
            ureq::Error::Timeout(_) => (Fault::GitUnreachable, format!("no connection within {connect:?}")),
            ureq::Error::HostNotFound => {
                (Fault::GitUnreachable, "no address for this host name (DNS)".to_owned())
            }
            other => (Fault::GitUnreachable, other.to_string()),
        };
        let by = self.proxy.as_ref().map(|proxy| format!(" (by the proxy {proxy})")).unwrap_or_default();
        (fault, format!("{cause}{by}"))
    }
}
