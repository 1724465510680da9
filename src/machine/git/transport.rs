//! Connects libgit2 with bootagent's transports for http and ssh. libgit2 passes on only the number of a transport's
//! error, so the full error is kept in an [`Exchange`], from which the caller takes it.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use git2::Remote;
use git2::transport::Transport;

use crate::error::{Code, Error, Result};
use crate::fault::Fault;
use crate::secret::{ForeignText, Redaction, Secret};

/// One fetch from one server, over http or ssh.
pub(super) trait Session: Send + Sync {
    fn transport(self: Arc<Self>, remote: &Remote<'_>) -> Result<Transport, git2::Error>;

    fn exchange(&self) -> &Exchange;

    /// The repository's address after the redirects of the last request, if its protocol has any.
    fn answered(&self) -> Option<String> {
        None
    }
}

thread_local! {
    /// libgit2 makes a transport from an address alone. The transport finds its session here.
    static CURRENT: RefCell<Option<Arc<dyn Session>>> = const { RefCell::new(None) };
}

/// libgit2 calls this for http, https and ssh addresses. A session belongs to one fetch on one thread.
pub(super) fn transport(remote: &Remote<'_>) -> Result<Transport, git2::Error> {
    let session = CURRENT.with_borrow(Clone::clone).ok_or_else(|| git2::Error::from_str("no session"))?;
    session.transport(remote)
}

/// Runs `act` with this session for every transport of this thread.
pub(super) fn with_session<T>(session: &Arc<dyn Session>, act: impl FnOnce() -> T) -> T {
    let before = CURRENT.replace(Some(Arc::clone(session)));
    let value = act();
    CURRENT.set(before);
    value
}

/// The state of a session: how many bytes may still come, the first failure, and the credential to redact.
pub(super) struct Exchange {
    repository: String,
    credential: Redaction,
    left: AtomicU64,
    failure: Mutex<Option<Error>>,
}

impl Exchange {
    pub(super) fn new(repository: &str, most: u64) -> Exchange {
        Exchange {
            repository: repository.to_owned(),
            credential: Redaction::default(),
            left: AtomicU64::new(most),
            failure: Mutex::new(None),
        }
    }

    /// Redacts the password in errors, since the server's answer could repeat it.
    pub(super) fn hiding(mut self, password: Option<&Secret>) -> Exchange {
        self.credential = Redaction::new(password.map(|password| ("credential", password)));
        self
    }

    pub(super) fn redacted(&self, error: Error) -> Error {
        error.without(&self.credential)
    }

    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    fn doing(&self) -> String {
        format!("fetching {}", self.repository)
    }

    pub(super) fn error(&self, code: Code, cause: impl AsRef<str>) -> Error {
        Error::new(code, self.doing(), ForeignText::message(cause.as_ref()))
    }

    pub(super) fn fault(&self, fault: Fault, cause: impl AsRef<str>) -> Error {
        fault.error(self.doing(), ForeignText::message(cause.as_ref()))
    }

    /// Keeps the first failure: later ones follow from it and say less.
    pub(super) fn fail(&self, error: Error) -> io::Error {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        io::Error::other("the transport failed")
    }

    /// The transport's first failure, if it had one.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How many bytes may still come.
    pub(super) fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Counts received bytes; fails above the limit.
    pub(super) fn count(&self, bytes: usize) -> Result<()> {
        let bytes = bytes as u64;
        let enough =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        match enough {
            Ok(_) => Ok(()),
            Err(_) => Err(self.error(Code::SourceTooLarge, "the server sends more than the limit allows")),
        }
    }
}
