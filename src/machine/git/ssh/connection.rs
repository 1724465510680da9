//! One ssh connection: connects, checks the host key, authenticates, and runs git-upload-pack on the server.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::client::{self, AuthResult, Handle, Msg};
use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_key::{HashAlg, PublicKey};
use russh::{AlgorithmKind, Channel, ChannelMsg};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::key::Key;
use super::{Session, tunnel};
use crate::error::{Code, Error, Result};
use crate::fault::Fault;

/// git's data is on stdout. On stderr a server explains in a line or two why it refuses.
const STDERR_BYTES: usize = 64 << 10;

/// git-upload-pack on the server, for blocking reads and writes.
pub struct Connection {
    /// Drives russh, which is async, while libgit2 blocks. `None` only while this is dropped.
    runtime: Option<Runtime>,
    channel: Channel<Msg>,
    /// Dropping it would close the connection.
    _handle: Handle<HostKeyCheck>,
    /// Received, and not read by libgit2 yet.
    buffered: bytes::Bytes,
    /// Whether git has sent anything.
    answered: bool,
    stderr: Vec<u8>,
}

impl Connection {
    pub fn open(session: &Session) -> Result<Connection> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(Code::Io, "starting an ssh connection", error))?;
        match runtime.block_on(start(session)) {
            Ok((handle, channel)) => Ok(Connection {
                runtime: Some(runtime),
                channel,
                _handle: handle,
                buffered: bytes::Bytes::new(),
                answered: false,
                stderr: Vec::new(),
            }),
            Err(error) => {
                // Does not wait for a DNS lookup that still runs in a thread.
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Returns 0 at the end. Fails if the server sends nothing for the `stall` timeout.
    pub fn read(&mut self, session: &Session, buffer: &mut [u8]) -> Result<usize> {
        while self.buffered.is_empty() {
            let Some(runtime) = &self.runtime else { return Ok(0) };
            // The timeout is made inside the runtime, whose clock it uses.
            let message = runtime
                .block_on(async { timeout(session.timeouts.stall, self.channel.wait()).await })
                .map_err(|_| stalled(session))?;
            match message {
                Some(ChannelMsg::Data { data }) => self.buffered = data,
                Some(ChannelMsg::ExtendedData { data, .. }) => self.keep_stderr(session, &data)?,
                Some(ChannelMsg::Failure) => {
                    let cause = "the server accepts the key, but does not run git-upload-pack for it";
                    return Err(session.exchange.fault(Fault::GitRefused, cause));
                }
                // After an answer, libgit2 reports what is missing.
                Some(ChannelMsg::Close) | None if self.answered => return Ok(0),
                Some(ChannelMsg::Close) | None => return Err(unanswered(session, &self.stderr)),
                Some(_) => {}
            }
        }
        self.answered = true;
        let some = self.buffered.len().min(buffer.len());
        buffer[..some].copy_from_slice(&self.buffered.split_to(some));
        Ok(some)
    }

    pub fn write(&mut self, session: &Session, bytes: &[u8]) -> Result<()> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let sent = async { timeout(session.timeouts.stall, self.channel.data_bytes(bytes.to_vec())).await };
        match runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(broken(session, &error)),
            Err(_) => {
                let cause = format!("the server took nothing for {:?}", session.timeouts.stall);
                Err(session.exchange.fault(Fault::GitStalled, cause))
            }
        }
    }

    fn keep_stderr(&mut self, session: &Session, data: &[u8]) -> Result<()> {
        self.stderr.extend_from_slice(data);
        match self.stderr.len() > STDERR_BYTES {
            true => Err(session
                .exchange
                .error(Code::GitUnreachable, "the server sends more than 64 KiB of error messages")),
            false => Ok(()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn start(session: &Session) -> Result<(Handle<HostKeyCheck>, Channel<Msg>)> {
    let (connect, stall) = (session.timeouts.connect, session.timeouts.stall);
    let mut handle = within(session, connect, connect_and_verify(session)).await?;
    within(session, stall, log_in(session, &mut handle)).await?;
    let channel = within(session, stall, async {
        let channel = handle.channel_open_session().await.map_err(|error| broken(session, &error))?;
        channel.exec(true, session.address.command()).await.map_err(|error| broken(session, &error))?;
        Ok(channel)
    })
    .await?;
    Ok((handle, channel))
}

async fn within<T>(
    session: &Session,
    patience: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    timeout(patience, work).await.unwrap_or_else(|_| {
        let cause = format!("no connection within {patience:?}");
        Err(session.exchange.fault(Fault::GitUnreachable, cause))
    })
}

/// Connects and checks the server's host key.
async fn connect_and_verify(session: &Session) -> Result<Handle<HostKeyCheck>> {
    let socket = tunnel::connect(session).await?;
    let preferred = session.known.preferred();
    let config = client::Config { preferred, nodelay: true, ..client::Config::default() };
    let refused = Arc::new(OnceLock::new());
    let check = HostKeyCheck { known: session.known.clone(), refused: Arc::clone(&refused) };
    let connected = client::connect_stream(Arc::new(config), socket, check).await;
    connected.map_err(|error| match refused.get() {
        Some(key) => unknown_host_key(session, key),
        None => broken(session, &error),
    })
}

async fn log_in(session: &Session, handle: &mut Handle<HostKeyCheck>) -> Result<()> {
    let user = session.address.user();
    let outcome = match &session.key {
        Key::Plain(key) => handle.authenticate_publickey(user, key.clone()).await,
        Key::Rsa(signer) => {
            let hash = handle.best_supported_rsa_hash().await.ok().flatten().flatten();
            let hash = hash.unwrap_or(HashAlg::Sha512);
            let public = signer.public.clone();
            let outcome = handle.authenticate_publickey_with(user, public, Some(hash), &mut &*signer).await;
            outcome.map_err(|_| russh::Error::Disconnect)
        }
    };
    match outcome {
        Ok(AuthResult::Success) => Ok(()),
        Ok(AuthResult::Failure { .. }) => {
            let cause = format!("the server does not accept the key {}", session.key.fingerprint());
            Err(session.exchange.fault(Fault::GitRefused, cause).remedy(
                "add the public half of this key as a deploy key (read-only) to the repository, or store the key that is one",
            ))
        }
        Err(error) => Err(broken(session, &error)),
    }
}

/// Accepts only servers whose key is known in advance: any other could be a man in the middle.
pub struct HostKeyCheck {
    known: super::Known,
    /// The key of a server that is not known.
    refused: Arc<OnceLock<PublicKey>>,
}

impl client::Handler for HostKeyCheck {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let key = shown.public_key();
        let known = shown.certificate().is_none() && key.to_bytes().is_ok_and(|blob| self.known.has(&blob));
        if !known {
            let _ = self.refused.set(key);
        }
        Ok(known)
    }
}

fn unknown_host_key(session: &Session, key: &PublicKey) -> Error {
    let (kind, fingerprint) = (key.algorithm(), key.fingerprint(HashAlg::Sha256));
    let cause =
        format!("the server shows the host key {} {fingerprint}, which is not the known one", kind.as_str());
    session.exchange.fault(Fault::GitHostKey, cause)
}

fn stalled(session: &Session) -> Error {
    let cause = format!("the server sent nothing for {:?}", session.timeouts.stall);
    session.exchange.fault(Fault::GitStalled, cause)
}

fn broken(session: &Session, error: &russh::Error) -> Error {
    match error {
        russh::Error::NoCommonAlgo { kind, theirs, .. } => {
            let cause = format!("no {kind:?} algorithm in common: the server has {}", theirs.join(", "));
            let error = match kind {
                AlgorithmKind::Key => session.exchange.error(Code::HostKey, cause),
                _ => session.exchange.fault(Fault::GitUnsupported, cause),
            };
            error.remedy(
                "the git server needs an ed25519, ecdsa or rsa host key (rsa with rsa-sha2-256 or rsa-sha2-512), and an ssh version of the last ten years",
            )
        }
        russh::Error::Version => {
            session.exchange.fault(Fault::GitUnsupported, "the server at this port does not speak ssh")
        }
        other => session.exchange.fault(Fault::GitBrokenOff, format!("the ssh connection ended: {other}")),
    }
}

/// The error if the server closed before git sent anything. Its stderr is free text: these words choose the fault.
fn unanswered(session: &Session, stderr: &[u8]) -> Error {
    let message = String::from_utf8_lossy(stderr);
    let cause = format!("the server says: {message}");
    let lower = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if message.trim().is_empty() {
        session.exchange.fault(Fault::GitBrokenOff, "the server closes the connection without an answer")
    } else if has(&["not found", "not exist", "no such", "not appear to be a git repository"]) {
        session.exchange.fault(Fault::GitNotFound, cause)
    } else if has(&["denied", "not allowed", "permission", "unauthorized", "forbidden", "refused"]) {
        session.exchange.fault(Fault::GitRefused, cause)
    } else {
        session.exchange.fault(Fault::GitBrokenOff, cause)
    }
}
