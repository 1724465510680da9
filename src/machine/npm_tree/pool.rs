//! The connections of an installation: one with HTTP/2 for each server, which all downloads share, or a few with HTTP/1.1.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{Mutex, Semaphore};
use tokio_rustls::TlsConnector;

use super::connect;
use super::failure::{Failure, Result};
use super::proxy;
use crate::fault::Fault;
use crate::npm::{Address, Settings};
use crate::secret::Secret;

const AGENT: &str = concat!("bootagent/", env!("CARGO_PKG_VERSION"));
/// Connections with HTTP/1.1 to one server.
const CONNECTIONS: usize = 8;
/// In bytes: what a server may send of one archive, and of all, before it is read.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

type Body = Empty<Bytes>;

pub struct Pool<'a> {
    connector: TlsConnector,
    settings: &'a Settings,
    servers: Mutex<HashMap<(String, u16), Arc<Server>>>,
}

struct Server {
    /// Held while the first connection is made: all others wait for it, and then share it.
    state: Mutex<State>,
    permits: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    addresses: Vec<std::net::SocketAddr>,
    /// Why the last connection was not made, and when: those who waited for it fail with it.
    failed: Option<(Instant, Failure)>,
    shared: Option<http2::SendRequest<Body>>,
    /// Known after the first connection.
    is_old: bool,
    idle: Vec<http1::SendRequest<Body>>,
}

/// An answer's body, with what must be kept while it is read.
pub struct Answer {
    pub response: Response<Incoming>,
    pub connection: Option<Old>,
}

/// A connection with HTTP/1.1, which serves one download at a time.
pub struct Old {
    sender: http1::SendRequest<Body>,
    server: Arc<Server>,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl Old {
    /// After the body was read to its end, for the next download.
    pub async fn give_back(self) {
        self.server.state.lock().await.idle.push(self.sender);
    }
}

/// A connection on which to ask.
pub enum Sender {
    Shared(http2::SendRequest<Body>),
    Old(Old),
}

impl Sender {
    /// Asks for an address. Every status is an answer.
    pub async fn get(self, address: &Address, credential: Option<&Secret>) -> Result<Answer> {
        let lost = |error: hyper::Error| {
            Failure::new(
                Fault::RegistryUnreachable,
                format!("downloading {}: {}", address.shown(), chain(&error)),
            )
        };
        match self {
            Sender::Shared(mut sender) => {
                sender.ready().await.map_err(lost)?;
                let response =
                    sender.send_request(request(address, credential, true)?).await.map_err(lost)?;
                Ok(Answer { response, connection: None })
            }
            Sender::Old(mut old) => {
                old.sender.ready().await.map_err(lost)?;
                let response =
                    old.sender.send_request(request(address, credential, false)?).await.map_err(lost)?;
                Ok(Answer { response, connection: Some(old) })
            }
        }
    }
}

impl<'a> Pool<'a> {
    /// How long the registry may send nothing, if npm's settings say so.
    pub fn patience(&self) -> Option<Duration> {
        self.settings.patience
    }

    pub fn new(connector: TlsConnector, settings: &'a Settings) -> Pool<'a> {
        Pool { connector, settings, servers: Mutex::default() }
    }

    /// A connection to the address's server. Waits while all of them are in use: each step of the others has a time limit,
    /// and their work does not count as a delay of the server.
    pub async fn sender(&self, address: &Address) -> Result<Sender> {
        let asked = Instant::now();
        let server = {
            let mut servers = self.servers.lock().await;
            let new = || {
                Arc::new(Server { state: Mutex::default(), permits: Arc::new(Semaphore::new(CONNECTIONS)) })
            };
            servers.entry((address.host.clone(), address.port)).or_insert_with(new).clone()
        };
        let mut state = server.state.lock().await;
        if let Some(shared) = state.shared.as_ref().filter(|shared| !shared.is_closed()) {
            return Ok(Sender::Shared(shared.clone()));
        }
        if let Some((_, failure)) = state.failed.as_ref().filter(|(when, _)| *when > asked) {
            return Err(failure.clone());
        }
        if !state.is_old {
            let stream = match self.connect(address, &mut state).await {
                Ok(stream) => stream,
                Err(failure) => {
                    state.failed = Some((Instant::now(), failure.clone()));
                    return Err(failure);
                }
            };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let shared = handshake(address, stream).await?;
                state.shared = Some(shared.clone());
                return Ok(Sender::Shared(shared));
            }
            state.is_old = true;
            let sender = old_handshake(address, stream).await?;
            state.idle.push(sender);
        }
        drop(state);
        let permit = server.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|error| Failure::new(Fault::InstallFailed, error.to_string()))?;
        let (idle, mut known) = {
            let mut state = server.state.lock().await;
            state.idle.retain(|sender| !sender.is_closed());
            (state.idle.pop(), State { addresses: state.addresses.clone(), ..State::default() })
        };
        let sender = match idle {
            Some(sender) => sender,
            None => old_handshake(address, self.connect(address, &mut known).await?).await?,
        };
        Ok(Sender::Old(Old { sender, server, _permit: permit }))
    }

    async fn connect(&self, address: &Address, state: &mut State) -> Result<connect::Stream> {
        let proxy = proxy::of(address, self.settings)?;
        if state.addresses.is_empty() {
            let (host, port) = proxy.clone().unwrap_or_else(|| (address.host.clone(), address.port));
            state.addresses = connect::resolve(&host, port).await?;
        }
        connect::connect(&self.connector, &address.host, address.port, &state.addresses, proxy.is_some())
            .await
    }
}

async fn handshake(address: &Address, stream: connect::Stream) -> Result<http2::SendRequest<Body>> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(20))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| lost(address, &error))?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn old_handshake(address: &Address, stream: connect::Stream) -> Result<http1::SendRequest<Body>> {
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(address, &error))?;
    tokio::spawn(connection);
    Ok(sender)
}

fn lost(address: &Address, error: &hyper::Error) -> Failure {
    Failure::new(Fault::RegistryUnreachable, format!("connecting to {}: {}", address.host, chain(error)))
}

fn request(address: &Address, credential: Option<&Secret>, is_new: bool) -> Result<Request<Body>> {
    let uri = if is_new { address.text() } else { address.path.clone() };
    let mut request = Request::get(uri).header(USER_AGENT, AGENT).header(ACCEPT, "*/*");
    if !is_new {
        request = request.header(HOST, address.host_and_port());
    }
    if let Some(credential) = credential {
        let value = HeaderValue::from_str(credential.expose());
        let mut value =
            value.map_err(|_| Failure::ForNpm("a credential in .npmrc has unusual characters".to_owned()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    request.body(Empty::new()).map_err(|error| Failure::ForNpm(format!("{}: {error}", address.shown())))
}

/// An error with its causes: hyper's own text names only the kind.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
