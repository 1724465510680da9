//! Private package registries: a proxy of bootagent adds their tokens to the requests of an installation.
//!
//! The token must not reach the commands of an installation, because the repository and its packages bring scripts that
//! could send it anywhere. So the proxy runs in a unit of its own, as a user of its own, and ends TLS for the hosts that
//! the policy names, with a certificate that only this installation trusts. All other hosts are tunnelled unseen.

mod authority;
mod http;
mod peer;
pub mod proxy;
mod request;
mod tunnel;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use nix::unistd::User;

use crate::error::{Code, Coded, Error, Result};
use crate::machine::Tokens;
use crate::machine::disk::files;
use crate::machine::jail::child::Role;
use crate::machine::jail::request::{decode_reply, encode_request};
use crate::machine::jail::unit::{self, Serving, TransientUnit, own_program};
use crate::machine::web::trust;
use crate::plan::{Mode, Owner, PROXY, RegistryAccess};
use request::{Listening, Login, RegistriesRequest};

/// As long as the command's unit may live that it serves: it ends the proxy if the agent was killed.
const LIFETIME: Duration = Duration::from_secs(3600);
/// The child answers when it listens.
const START: Duration = Duration::from_secs(20);
/// In bytes: its address and its certificate.
const REPLY: u64 = 64 << 10;

/// A proxy that runs. It is stopped, and its certificate removed, when this is dropped.
pub struct Running<'a> {
    access: &'a RegistryAccess,
    address: SocketAddr,
    _unit: Serving,
}

impl Running<'_> {
    /// The variables of a plan, with the address that the proxy has.
    pub fn environment(&self, of_the_plan: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let address = format!("http://{}", self.address);
        let here = |value: &String| if value == PROXY { address.clone() } else { value.clone() };
        of_the_plan.iter().map(|(name, value)| (name.clone(), here(value))).collect()
    }
}

/// Starts the proxy for the commands of `user`.
pub async fn start<'a>(
    access: &'a RegistryAccess,
    user: &str,
    tokens: Option<&Tokens>,
) -> Result<Running<'a>> {
    let doing = || "starting the proxy for private registries".to_owned();
    let uid = User::from_name(user).doing(doing)?.map(|user| user.uid.as_raw());
    let missing = |what: &str| Error::new(Code::Bug, doing(), what.to_owned());
    let uid = uid.ok_or_else(|| missing("the build user does not exist"))?;
    let tokens = tokens.ok_or_else(|| missing("the install secret was not read"))?;
    let logins = access.registries.iter().map(|registry| {
        let token = tokens.get(&registry.token).ok_or_else(|| missing("a token was not read"))?;
        Ok(Login::new(registry, token))
    });
    let request = RegistriesRequest {
        logins: logins.collect::<Result<_>>()?,
        network: access.network.clone(),
        timeouts: Default::default(),
        uid,
    };
    let argv = [own_program()?.display().to_string(), Role::VERB.to_owned(), proxy::ROLE.to_owned()];
    let transient = TransientUnit::new(&access.unit, unit::User::Dynamic, LIFETIME);
    let (reply, serving) = transient.serve(&argv, encode_request(&request)?, START, REPLY).await?;
    let Listening { address, certificate } = decode_reply(&reply)?;
    let running = Running { access, address, _unit: serving };
    let bundle = trust::bundle_with(access.network.ca_file.as_ref(), &certificate)?;
    if let Some(directory) = access.certificates.parent() {
        files::directory(directory, &Owner::root(), Mode(0o755))?;
    }
    files::write(&access.certificates, &bundle, &Owner::root(), Mode(0o644))?;
    Ok(running)
}

impl Drop for Running<'_> {
    /// An error is ignored: without the proxy's key, which ends with it, the certificate is worth nothing.
    fn drop(&mut self) {
        let _ = files::remove_file(&self.access.certificates);
    }
}
