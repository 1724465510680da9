//! git's smart protocol over http(s): what libgit2 reads and writes goes through ureq and rustls.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_types::base64;
use git2::Remote;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, BodyReader, Timeout};
use zeroize::Zeroizing;

use super::address::{ADVERTISEMENT, Address};
use super::credential::{Credential, unfit};
use super::github_app;
use super::transport::{self, Account};
use crate::error::{Code, Error, Result};
use crate::facts::{Network, Proxy};
use crate::fault::Fault;
use crate::machine::jail::request::Timeouts;
use crate::machine::web::tls;
use crate::machine::web::trust;
use crate::secret::Secret;

/// Some servers look for the `git/` to know a git client.
const USER_AGENT: &str = concat!("git/2.0 (bootagent ", env!("CARGO_PKG_VERSION"), ")");
const REDIRECTS: usize = 5;
const ADVERTISEMENT_TYPE: &str = "application/x-git-upload-pack-advertisement";
const REQUEST_TYPE: &str = "application/x-git-upload-pack-request";
const RESULT_TYPE: &str = "application/x-git-upload-pack-result";

/// One fetch: to whom, and as whom.
pub(super) struct Session {
    account: Account,
    agent: Agent,
    address: Address,
    authorization: Option<HeaderValue>,
    way: Way,
    /// Where the repository answered, once a redirect was followed.
    answered: Mutex<Address>,
}

impl transport::Session for Session {
    fn transport(self: Arc<Self>, remote: &Remote<'_>) -> Result<Transport, git2::Error> {
        Transport::smart(remote, true, Subtransport(self))
    }

    fn account(&self) -> &Account {
        &self.account
    }
}

impl Session {
    pub(super) fn new(
        address: Address,
        credential: Option<&Credential>,
        network: &Network,
        timeouts: &Timeouts,
        most: u64,
    ) -> Result<Session> {
        if credential.is_some() && !address.is_https() {
            let doing = format!("fetching {}", address.as_str());
            let cause = "a credential is not sent over plain http";
            return Err(Error::new(Code::RepositoryInvalid, doing, cause).remedy("use https://"));
        }
        let way = Way { timeouts: timeouts.clone(), proxy: network.proxy.clone() };
        let agent = agent(network, timeouts)?;
        let login = credential.map(|as_whom| login(&agent, &address, &way, as_whom)).transpose()?;
        Ok(Session {
            account: Account::new(address.as_str(), most)
                .knowing(login.as_ref().map(|(_, password)| password)),
            authorization: login.map(|(username, password)| basic(&username, &password)).transpose()?,
            agent,
            answered: Mutex::new(address.clone()),
            address,
            way,
        })
    }

    fn advertisement(&self) -> Result<BodyReader<'static>> {
        let mut at = self.address.clone();
        for _ in 0..=REDIRECTS {
            let mut request = self.agent.get(format!("{}{ADVERTISEMENT}", at.as_str()));
            if let Some(authorization) = &self.authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            let response = request.call().map_err(|error| self.unreachable(&error))?;
            if !response.status().is_redirection() {
                *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = at;
                return self.body(response, ADVERTISEMENT_TYPE);
            }
            at = self.redirected(&at, &response)?;
        }
        Err(self
            .account
            .error(Code::RepositoryInvalid, format!("the server redirects more than {REDIRECTS} times")))
    }

    fn redirected(&self, from: &Address, response: &Response<Body>) -> Result<Address> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        from.moved(location.unwrap_or_default()).map_err(|cause| {
            self.account
                .error(Code::RepositoryInvalid, cause)
                .remedy("write the address that git clone ends up with into the policy")
        })
    }

    fn upload_pack(&self, asked: &[u8]) -> Result<BodyReader<'static>> {
        let at = self.answered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = self
            .agent
            .post(format!("{}/git-upload-pack", at.as_str()))
            .header(CONTENT_TYPE, REQUEST_TYPE)
            .header(ACCEPT, RESULT_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = request.send(asked).map_err(|error| self.unreachable(&error))?;
        self.body(response, RESULT_TYPE)
    }

    /// The body of an answer that is one.
    fn body(&self, response: Response<Body>, expected: &str) -> Result<BodyReader<'static>> {
        let status = response.status();
        if status != StatusCode::OK {
            let asked =
                response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Err(self.refused(status).retry_after(asked));
        }
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("nothing");
        let kind_alone = kind.split(';').next().map(str::trim);
        if kind_alone == Some("text/html") {
            // As a server does that is being maintained, or sits behind a gateway which is.
            return Err(self
                .account
                .fault(
                    Fault::GitWebPage,
                    "the server answers with an HTML page (text/html) in place of git's data",
                )
                .remedy("is the server under maintenance? else: does git clone work with this address?"));
        }
        if kind_alone != Some(expected) {
            let cause = format!("the server answers with {kind}: there is no git repository at this address");
            return Err(self
                .account
                .error(Code::RepositoryInvalid, cause)
                .remedy("does git clone work with this address?"));
        }
        Ok(response.into_body().into_reader())
    }

    fn refused(&self, status: StatusCode) -> Error {
        match status.as_u16() {
            401 if self.authorization.is_some() => {
                self.account.fault(Fault::GitRefused, "the server does not accept the credential (401)").remedy(
                    "is the credential in the secret still valid, and may it read this repository?",
                )
            }
            // GitHub and GitLab don't tell an absent repository from a private one.
            401 => self.account.fault(
                Fault::GitRefused,
                "the server wants a credential (401): the repository is private, or there is none of this name",
            )
            .remedy("name the credential's secret with --git-credential-secret; if the repository is public, check the pattern and the service's name"),
            404 | 410 => self.account.fault(Fault::GitNotFound, format!("the server knows no such repository ({status})")),
            501 | 505 => self.account.fault(Fault::GitUnsupported, format!("the server answers {status}")),
            408 | 425 | 429 | 500.. => self.account.fault(Fault::GitBusy, format!("the server answers {status}")),
            _ => self.account.fault(Fault::GitRefused, format!("the server answers {status}")),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        let (fault, cause) = self.way.unreachable(error);
        match () {
            () if tls::is_untrusted(&cause) => {
                self.account.fault(Fault::GitUntrusted, cause).remedy(tls::REMEDY)
            }
            () if tls::is_unsupported(&cause) => self.account.fault(Fault::GitUnsupported, cause),
            () => self.account.fault(fault, cause),
        }
    }

    /// Within a body; a timeout there arrives as an io::Error around ureq's own.
    fn broken_off(&self, error: io::Error) -> Error {
        match error.into() {
            timeout @ ureq::Error::Timeout(_) => self.unreachable(&timeout),
            other => self.account.fault(Fault::GitBrokenOff, format!("the answer ends early: {other}")),
        }
    }
}

/// How requests go out, for the account of those that come to nothing.
#[derive(Clone)]
pub struct Way {
    timeouts: Timeouts,
    proxy: Option<Proxy>,
}

impl Way {
    /// Why there is no answer, and what kind of fault that is.
    pub fn unreachable(&self, error: &ureq::Error) -> (Fault, String) {
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

pub fn agent(network: &Network, timeouts: &Timeouts) -> Result<Agent> {
    Ok(Agent::config_builder()
        .tls_config(trust::tls(network.ca_file.as_ref())?)
        // Always set: ureq's default reads the environment.
        .proxy(network.proxy.as_ref().map(|at| proxy(at, network)).transpose()?)
        .user_agent(USER_AGENT)
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

/// User name and password.
fn login(agent: &Agent, address: &Address, way: &Way, credential: &Credential) -> Result<(String, Secret)> {
    match credential {
        Credential::Password { username, password } => Ok((username.clone(), password.clone())),
        Credential::App(app) => {
            Ok(("x-access-token".to_owned(), github_app::token(agent, address, way, app)?))
        }
        Credential::Key(_) => Err(unfit("it is a private key, which opens repositories over ssh, not https")
            .remedy("write the repository as ssh://git@HOST/PATH, or store a token instead of the key")),
    }
}

fn basic(username: &str, password: &Secret) -> Result<HeaderValue> {
    let pair = Zeroizing::new(format!("{username}:{}", password.expose()));
    let encoded = Zeroizing::new(base64::encode(pair.as_bytes()));
    let header = Zeroizing::new(format!("Basic {}", *encoded));
    let mut value = HeaderValue::from_str(&header)
        .map_err(|error| Error::new(Code::Bug, "encoding the git credential", error))?;
    // Left out of debug output.
    value.set_sensitive(true);
    Ok(value)
}

struct Subtransport(Arc<Session>);

impl SmartSubtransport for Subtransport {
    fn action(&self, _url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let state = match action {
            Service::UploadPackLs => Exchange::First,
            Service::UploadPack => Exchange::Asking(Vec::new()),
            Service::ReceivePackLs | Service::ReceivePack => {
                return Err(git2::Error::from_str("this program never pushes"));
            }
        };
        Ok(Box::new(Stream { session: Arc::clone(&self.0), state }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// One request and its answer: libgit2 writes, then reads.
struct Stream {
    session: Arc<Session>,
    state: Exchange,
}

enum Exchange {
    First,
    Asking(Vec<u8>),
    Answer(Box<BodyReader<'static>>),
}

impl Stream {
    fn answer(&mut self) -> Result<&mut BodyReader<'static>> {
        let answer = match &self.state {
            Exchange::First => Some(self.session.advertisement()?),
            Exchange::Asking(asked) => Some(self.session.upload_pack(asked)?),
            Exchange::Answer(_) => None,
        };
        if let Some(answer) = answer {
            self.state = Exchange::Answer(Box::new(answer));
        }
        match &mut self.state {
            Exchange::Answer(answer) => Ok(answer),
            _ => Err(self.session.account.error(Code::Bug, "an answer was read before it was asked for")),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let session = Arc::clone(&self.session);
        let answer = self.answer().map_err(|error| session.account.fail(error))?;
        let read = answer.read(buffer).map_err(|error| session.account.fail(session.broken_off(error)))?;
        session.account.count(read).map_err(|error| session.account.fail(error))?;
        Ok(read)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            Exchange::Asking(asked) => {
                asked.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            _ => Err(io::Error::other("nothing is written to an answer")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
