//! Between libgit2 and our transports. libgit2 knows a transport's failure only as a number, so the error
//! that is told is kept in an [`Account`], and the caller takes it from there.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use git2::Remote;
use git2::transport::Transport;

use crate::error::{Code, Error, Result};
use crate::fault::Fault;
use crate::secret::{ForeignText, Redaction, Secret};

/// A fetch's dealings with one server, by whatever protocol.
pub(super) trait Session: Send + Sync {
    fn transport(self: Arc<Self>, remote: &Remote<'_>) -> Result<Transport, git2::Error>;

    fn account(&self) -> &Account;
}

thread_local! {
    /// libgit2 makes transports by address alone: this is how one learns for whom.
    static CURRENT: RefCell<Option<Arc<dyn Session>>> = const { RefCell::new(None) };
}

/// What libgit2 calls for the addresses that are ours. A session belongs to one fetch on one thread.
pub(super) fn transport(remote: &Remote<'_>) -> Result<Transport, git2::Error> {
    let session = CURRENT.with_borrow(Clone::clone).ok_or_else(|| git2::Error::from_str("no session"))?;
    session.transport(remote)
}

/// Runs `act` with this session behind every transport of this thread.
pub(super) fn during<T>(session: &Arc<dyn Session>, act: impl FnOnce() -> T) -> T {
    let before = CURRENT.replace(Some(Arc::clone(session)));
    let value = act();
    CURRENT.set(before);
    value
}

/// How much may still come, and what went wrong.
pub(super) struct Account {
    repository: String,
    credential: Redaction,
    left: AtomicU64,
    failure: Mutex<Option<Error>>,
}

impl Account {
    pub(super) fn new(repository: &str, most: u64) -> Account {
        Account {
            repository: repository.to_owned(),
            credential: Redaction::default(),
            left: AtomicU64::new(most),
            failure: Mutex::new(None),
        }
    }

    /// What the server gets to know, and could say again.
    pub(super) fn knowing(mut self, password: Option<&Secret>) -> Account {
        self.credential = Redaction::new(password.map(|password| ("credential", password)));
        self
    }

    pub(super) fn discreet(&self, error: Error) -> Error {
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

    /// Keeps the first failure: those that follow from it say less.
    pub(super) fn fail(&self, error: Error) -> io::Error {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        io::Error::other("the transport failed")
    }

    /// What really happened, if the transport knows.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

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
