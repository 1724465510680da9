//! One conversation: connected, the server known, let in, and git-upload-pack running on the other side.

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

/// git says what it has to say on the main stream: here a server tells in a line or two why it won't.
const STDERR_BYTES: usize = 64 << 10;

pub struct Connection {
    /// libgit2 waits in place, while the ssh library wants to be driven. Absent only while it is dropped.
    runtime: Option<Runtime>,
    channel: Channel<Msg>,
    /// Gone, it would take the connection with it.
    _handle: Handle<Guard>,
    /// What came and was not read yet.
    buffered: bytes::Bytes,
    heard: bool,
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
                heard: false,
                stderr: Vec::new(),
            }),
            Err(error) => {
                // A name that is still being looked up must not hold up its error.
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    pub fn read(&mut self, session: &Session, buffer: &mut [u8]) -> Result<usize> {
        while self.buffered.is_empty() {
            let Some(runtime) = &self.runtime else { return Ok(0) };
            // Made inside: a clock belongs to its runtime.
            let message = runtime
                .block_on(async { timeout(session.timeouts.stall, self.channel.wait()).await })
                .map_err(|_| silent(session))?;
            match message {
                Some(ChannelMsg::Data { data }) => self.buffered = data,
                Some(ChannelMsg::ExtendedData { data, .. }) => self.complained(session, &data)?,
                Some(ChannelMsg::Failure) => {
                    let cause = "the server lets the key in, but runs no git-upload-pack for it";
                    return Err(session.account.fault(Fault::GitRefused, cause));
                }
                // With bytes heard, libgit2 knows best what is missing.
                Some(ChannelMsg::Close) | None if self.heard => return Ok(0),
                Some(ChannelMsg::Close) | None => return Err(unanswered(session, &self.stderr)),
                Some(_) => {}
            }
        }
        self.heard = true;
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
                Err(session.account.fault(Fault::GitStalled, cause))
            }
        }
    }

    fn complained(&mut self, session: &Session, data: &[u8]) -> Result<()> {
        self.stderr.extend_from_slice(data);
        match self.stderr.len() > STDERR_BYTES {
            true => Err(session.account.error(Code::GitUnreachable, "the server complains without an end")),
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

async fn start(session: &Session) -> Result<(Handle<Guard>, Channel<Msg>)> {
    let (connect, stall) = (session.timeouts.connect, session.timeouts.stall);
    let mut handle = within(session, connect, greet(session)).await?;
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
        Err(session.account.fault(Fault::GitUnreachable, cause))
    })
}

/// Connected, and the server known.
async fn greet(session: &Session) -> Result<Handle<Guard>> {
    let socket = tunnel::connect(session).await?;
    let preferred = session.known.preferred();
    let config = client::Config { preferred, nodelay: true, ..client::Config::default() };
    let shown = Arc::new(OnceLock::new());
    let guard = Guard { known: session.known.clone(), stranger: Arc::clone(&shown) };
    let greeted = client::connect_stream(Arc::new(config), socket, guard).await;
    greeted.map_err(|error| match shown.get() {
        Some(key) => stranger(session, key),
        None => broken(session, &error),
    })
}

async fn log_in(session: &Session, handle: &mut Handle<Guard>) -> Result<()> {
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
            Err(session.account.fault(Fault::GitRefused, cause).remedy(
                "add the public half of this key as a deploy key (read-only) to the repository, or store the key that is one",
            ))
        }
        Err(error) => Err(broken(session, &error)),
    }
}

/// Lets nobody pass but servers that were known before.
pub struct Guard {
    known: super::Known,
    /// Who was not let through.
    stranger: Arc<OnceLock<PublicKey>>,
}

impl client::Handler for Guard {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let key = shown.public_key();
        let known = shown.certificate().is_none() && key.to_bytes().is_ok_and(|blob| self.known.has(&blob));
        if !known {
            let _ = self.stranger.set(key);
        }
        Ok(known)
    }
}

fn stranger(session: &Session, key: &PublicKey) -> Error {
    let (kind, fingerprint) = (key.algorithm(), key.fingerprint(HashAlg::Sha256));
    let cause =
        format!("the server shows the host key {} {fingerprint}, which is not the known one", kind.as_str());
    session.account.fault(Fault::GitHostKey, cause)
}

fn silent(session: &Session) -> Error {
    let cause = format!("the server sent nothing for {:?}", session.timeouts.stall);
    session.account.fault(Fault::GitStalled, cause)
}

fn broken(session: &Session, error: &russh::Error) -> Error {
    match error {
        russh::Error::NoCommonAlgo { kind, theirs, .. } => {
            let cause = format!("no {kind:?} algorithm in common: the server has {}", theirs.join(", "));
            let error = match kind {
                AlgorithmKind::Key => session.account.error(Code::HostKey, cause),
                _ => session.account.fault(Fault::GitUnsupported, cause),
            };
            error.remedy(
                "the git server must have an ed25519 or ecdsa host key, and an ssh of the last ten years",
            )
        }
        russh::Error::Version => {
            session.account.fault(Fault::GitUnsupported, "what answers at this port does not speak ssh")
        }
        other => session.account.fault(Fault::GitBrokenOff, format!("the ssh connection ended: {other}")),
    }
}

/// The server closed before git said a word. What it said instead is for people, but for these few words.
fn unanswered(session: &Session, stderr: &[u8]) -> Error {
    let said = String::from_utf8_lossy(stderr);
    let cause = format!("the server says: {said}");
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if said.trim().is_empty() {
        session.account.fault(Fault::GitBrokenOff, "the server closes the connection without a word")
    } else if has(&["not found", "not exist", "no such", "not appear to be a git repository"]) {
        session.account.fault(Fault::GitNotFound, cause)
    } else if has(&["denied", "not allowed", "permission", "unauthorized", "forbidden", "refused"]) {
        session.account.fault(Fault::GitRefused, cause)
    } else {
        session.account.fault(Fault::GitBrokenOff, cause)
    }
}
