//! Downloads a short text, such as the index of a runtime's releases, in a child process. The planner interprets it.

use super::get::Web;
use crate::error::Result;
use crate::fault::Fault;
use crate::machine::jail::request::DocumentRequest;

pub fn document(request: &DocumentRequest) -> Result<String> {
    let DocumentRequest { address, most, network, timeouts } = request;
    let bytes = Web::new(network, timeouts)?.bytes(address, *most)?;
    String::from_utf8(bytes)
        .map_err(|_| Fault::RuntimeUnusable.error(format!("reading {address}"), "it is not UTF-8 text"))
}
