//! git's smart protocol over http(s): a transport for libgit2, with ureq and rustls.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64;
use git2::Remote;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, BodyReader};
use zeroize::Zeroizing;

use super::address::{ADVERTISEMENT, Address};
use super::credential::{Credential, unusable};
use super::github_app;
use super::route::Route;
use super::transport::{self, Exchange};
use crate::error::{Code, Error, Result};
use crate::facts::Network;
use crate::fault::Fault;
use crate::machine::jail::request::Timeouts;
use crate::machine::web::agent::agent;
use crate::machine::web::tls;
use crate::secret::Secret;

/// Some servers recognize a git client by its `git/`.
const USER_AGENT: &str = concat!("git/2.0 (bootagent ", env!("CARGO_PKG_VERSION"), ")");
const REDIRECTS: usize = 5;
const ADVERTISEMENT_TYPE: &str = "application/x-git-upload-pack-advertisement";
const REQUEST_TYPE: &str = "application/x-git-upload-pack-request";
const RESULT_TYPE: &str = "application/x-git-upload-pack-result";

/// One fetch: its server and credential.
pub(super) struct Session {
    exchange: Exchange,
    agent: Agent,
    address: Address,
    authorization: Option<HeaderValue>,
    route: Route,
    /// The repository's address after redirects, for the second request.
    answered: Mutex<Address>,
}

impl transport::Session for Session {
    fn transport(self: Arc<Self>, remote: &Remote<'_>) -> Result<Transport, git2::Error> {
        Transport::smart(remote, true, Subtransport(self))
    }

    fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    fn answered(&self) -> Option<String> {
        Some(self.answered.lock().unwrap_or_else(PoisonError::into_inner).as_str().to_owned())
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
        let route = Route { timeouts: timeouts.clone(), proxy: network.proxy.clone() };
        let agent = agent(network, timeouts, USER_AGENT)?;
        let login = credential.map(|credential| login(&agent, &address, &route, credential)).transpose()?;
        Ok(Session {
            exchange: Exchange::new(address.as_str(), most)
                .hiding(login.as_ref().map(|(_, password)| password)),
            authorization: login.map(|(username, password)| basic(&username, &password)).transpose()?,
            agent,
            answered: Mutex::new(address.clone()),
            address,
            route,
        })
    }

    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Whether an address is on the repository's server.
    pub(super) fn is_at(&self, address: &str) -> bool {
        address.strip_prefix(self.address.origin()).is_some_and(|rest| rest.starts_with('/'))
    }

    pub(super) fn hiding(&self, error: Error) -> Error {
        self.exchange.redacted(error)
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
            .exchange
            .error(Code::RepositoryInvalid, format!("the server redirects more than {REDIRECTS} times")))
    }

    fn redirected(&self, from: &Address, response: &Response<Body>) -> Result<Address> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        from.moved(location.unwrap_or_default()).map_err(|cause| {
            self.exchange
                .error(Code::RepositoryInvalid, cause)
                .remedy("if the new address is right, write it into the policy")
        })
    }

    fn upload_pack(&self, body: &[u8]) -> Result<BodyReader<'static>> {
        let at = self.answered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = self
            .agent
            .post(format!("{}/git-upload-pack", at.as_str()))
            .header(CONTENT_TYPE, REQUEST_TYPE)
            .header(ACCEPT, RESULT_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = request.send(body).map_err(|error| self.unreachable(&error))?;
        self.body(response, RESULT_TYPE)
    }

    /// The body of a successful answer of the expected type.
    fn body(&self, response: Response<Body>, expected: &str) -> Result<BodyReader<'static>> {
        let status = response.status();
        if status != StatusCode::OK {
            let retry_after =
                response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Err(self.refused(status).retry_after(retry_after));
        }
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("nothing");
        let kind_alone = kind.split(';').next().map(str::trim);
        if kind_alone == Some("text/html") {
            // A server under maintenance, or a gateway before it, answers with a web page.
            return Err(self
                .exchange
                .fault(
                    Fault::GitWebPage,
                    "the server answers with an HTML page (text/html) in place of git's data",
                )
                .remedy("is the server under maintenance? if not, does git clone work with this address?"));
        }
        if kind_alone != Some(expected) {
            let cause = format!("the server answers with {kind}: there is no git repository at this address");
            return Err(self
                .exchange
                .error(Code::RepositoryInvalid, cause)
                .remedy("does git clone work with this address?"));
        }
        Ok(response.into_body().into_reader())
    }

    pub(super) fn refused(&self, status: StatusCode) -> Error {
        match status.as_u16() {
            401 if self.authorization.is_some() => {
                self.exchange.fault(Fault::GitRefused, "the server does not accept the credential (401)").remedy(
                    "is the credential in the secret still valid, and may it read this repository?",
                )
            }
            // GitHub and GitLab give the same answer for an absent and a private repository.
            401 => self.exchange.fault(
                Fault::GitRefused,
                "the server requires a credential (401): the repository is private or does not exist",
            )
            .remedy("name the credential's secret with --git-credential-secret; if the repository is public, check the pattern and the service's name"),
            404 | 410 => self.exchange.fault(Fault::GitNotFound, format!("the server has no such repository ({status})")),
            501 | 505 => self.exchange.fault(Fault::GitUnsupported, format!("the server answers {status}")),
            408 | 425 | 429 | 500.. => self.exchange.fault(Fault::GitBusy, format!("the server answers {status}")),
            _ => self.exchange.fault(Fault::GitRefused, format!("the server answers {status}")),
        }
    }

    pub(super) fn unreachable(&self, error: &ureq::Error) -> Error {
        let (fault, cause) = self.route.unreachable(error);
        match () {
            () if tls::is_untrusted(&cause) => {
                self.exchange.fault(Fault::GitUntrusted, cause).remedy(tls::REMEDY)
            }
            () if tls::is_unsupported(&cause) => self.exchange.fault(Fault::GitUnsupported, cause),
            () => self.exchange.fault(fault, cause),
        }
    }

    /// An error while a body is read. A timeout is then an io::Error that wraps ureq's own.
    pub(super) fn broken_off(&self, error: io::Error) -> Error {
        match error.into() {
            timeout @ ureq::Error::Timeout(_) => self.unreachable(&timeout),
            other => self.exchange.fault(Fault::GitBrokenOff, format!("the answer ends early: {other}")),
        }
    }
}

/// User name and password.
fn login(
    agent: &Agent,
    address: &Address,
    route: &Route,
    credential: &Credential,
) -> Result<(String, Secret)> {
    match credential {
        Credential::Password { username, password } => Ok((username.clone(), password.clone())),
        Credential::App(app) => {
            Ok(("x-access-token".to_owned(), github_app::token(agent, address, route, app)?))
        }
        Credential::Key(_) => Err(unusable("it is a private key, which works over ssh, not https")
            .remedy("write the repository as ssh://git@HOST/PATH, or store a token instead of the key")),
    }
}

fn basic(username: &str, password: &Secret) -> Result<HeaderValue> {
    let pair = Zeroizing::new(format!("{username}:{}", password.expose()));
    let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
    let header = Zeroizing::new(format!("Basic {}", *encoded));
    let mut value = HeaderValue::from_str(&header)
        .map_err(|error| Error::new(Code::Bug, "encoding the git credential", error))?;
    // Not shown in debug output.
    value.set_sensitive(true);
    Ok(value)
}

struct Subtransport(Arc<Session>);

impl SmartSubtransport for Subtransport {
    fn action(&self, _url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let state = match action {
            Service::UploadPackLs => State::Advertisement,
            Service::UploadPack => State::Request(Vec::new()),
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
    state: State,
}

enum State {
    Advertisement,
    Request(Vec<u8>),
    Answer(Box<BodyReader<'static>>),
}

impl Stream {
    fn answer(&mut self) -> Result<&mut BodyReader<'static>> {
        let answer = match &self.state {
            State::Advertisement => Some(self.session.advertisement()?),
            State::Request(bytes) => Some(self.session.upload_pack(bytes)?),
            State::Answer(_) => None,
        };
        if let Some(answer) = answer {
            self.state = State::Answer(Box::new(answer));
        }
        match &mut self.state {
            State::Answer(answer) => Ok(answer),
            _ => {
                Err(self.session.exchange.error(Code::Bug, "an answer was read before the request was sent"))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let session = Arc::clone(&self.session);
        let answer = self.answer().map_err(|error| session.exchange.fail(error))?;
        let read = answer.read(buffer).map_err(|error| session.exchange.fail(session.broken_off(error)))?;
        session.exchange.count(read).map_err(|error| session.exchange.fail(error))?;
        Ok(read)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Request(request) => {
                request.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            _ => Err(io::Error::other("an answer cannot be written to")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
