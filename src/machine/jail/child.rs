//! The child's whole life: confine itself, read one request, do it, write one reply.

use std::io::{Read, Write};
use std::process::ExitCode;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::request::{REPLY_BYTES, REQUEST_BYTES, Reply};
use crate::error::{Code, Coded, Error, Exit, Result};

/// What a child is for: `bootagent __child fetch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Fetch,
    /// Of a fetch only its beginning: where the branch is.
    Tip,
    Checkout,
    Document,
    Archive,
}

impl Role {
    /// The hidden verb, before the role's own name.
    pub const VERB: &'static str = "__child";

    pub fn name(self) -> &'static str {
        match self {
            Role::Fetch => "fetch",
            Role::Tip => "tip",
            Role::Checkout => "checkout",
            Role::Document => "document",
            Role::Archive => "archive",
        }
    }

    pub fn named(name: &str) -> Option<Role> {
        [Role::Fetch, Role::Tip, Role::Checkout, Role::Document, Role::Archive]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// Everything a child process does: `act` with the parent's request. Its exit status says what its reply says.
pub fn serve<Req: DeserializeOwned, T: Serialize>(act: impl FnOnce(&Req) -> Result<T>) -> ExitCode {
    let (mut reply, mut exit) = answered(request().and_then(|request| act(&request)));
    if reply.len() as u64 > REPLY_BYTES {
        let cause = format!("what is to be said of the commit takes {} bytes", reply.len());
        let error = Error::new(Code::SourceTooLarge, "answering the parent", cause);
        (reply, exit) = answered(Err::<(), _>(error));
    }
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(&reply).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::from(exit),
        // The parent is gone.
        Err(_) => ExitCode::from(Exit::Bug as u8),
    }
}

fn request<T: DeserializeOwned>() -> Result<T> {
    confine()?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
    let doing = || "reading the parent's request".to_owned();
    std::io::stdin().lock().take(REQUEST_BYTES + 1).read_to_end(&mut bytes).doing(doing)?;
    if bytes.len() as u64 > REQUEST_BYTES {
        return Err(Error::new(Code::Bug, doing(), "it is too long"));
    }
    // serde's message could quote the request, and with it a password: where it stopped is enough.
    serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(
            Code::Bug,
            doing(),
            format!("it is not one (line {}, column {})", error.line(), error.column()),
        )
    })
}

/// Whatever this process may give up by itself. What needs a parent (uid, file system, network) is its unit's.
fn confine() -> Result<()> {
    let doing = || "confining the child".to_owned();
    prctl::set_no_new_privs().doing(doing)?;
    // A parent that is killed cannot enforce its deadline any more.
    prctl::set_pdeathsig(Signal::SIGKILL).doing(doing)?;
    umask(Mode::from_bits_truncate(0o022));
    Ok(())
}

fn answered<T: Serialize>(result: Result<T>) -> (Vec<u8>, u8) {
    let (reply, exit) = match result {
        Ok(value) => (Reply::Ok(value), 0),
        Err(error) => (Reply::Error(Box::new(error.sent())), error.exit() as u8),
    };
    match serde_json::to_vec(&reply) {
        Ok(bytes) => (bytes, exit),
        // An empty reply is a defect in the parent's eyes, as it should be.
        Err(_) => (Vec::new(), Exit::Bug as u8),
    }
}
