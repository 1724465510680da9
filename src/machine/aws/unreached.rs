//! The error of an AWS service that did not answer: no route, or TLS failed. What each service calls it is the caller's.

use crate::error::Error;
use crate::fault::Fault;
use crate::machine::web::tls;
use crate::secret::{ForeignText, Message};

/// A service's own faults.
pub struct Faults {
    pub untrusted: Fault,
    pub unreachable: Fault,
}

/// `causes`: the messages of the failed request.
pub fn unreached(doing: String, server: &str, causes: &[String], faults: &Faults) -> Error {
    let all = ForeignText::message(&causes.join(": "));
    if all.judge(tls::is_untrusted) {
        let cause = Message::from(format!("the certificate of {server} is not trusted here: ")).and(all);
        return faults.untrusted.error(doing, cause).remedy(tls::REMEDY);
    }
    faults.unreachable.error(doing, Message::from(format!("{server} does not answer: ")).and(all))
}

/// The same, or that the instance's role has no credentials yet.
pub fn unreached_or_late(doing: String, server: &str, causes: &[String], faults: &Faults) -> Error {
    let all = ForeignText::message(&causes.join(": "));
    match all.judge(|all| all.to_lowercase().contains("credential")) {
        true => Fault::CredentialsLate.error(doing, all),
        false => unreached(doing, server, causes, faults),
    }
}
