//! The child's side: it confines itself, reads one request from stdin, carries it out, and writes one reply to stdout.

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

/// What a child does: `bootagent __child fetch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Fetch,
    /// Only asks the git server which commit the branch points to.
    Tip,
    Checkout,
    Document,
    Archive,
    /// Writes a git bundle.
    Pack,
    PackRelease,
    UnpackRelease,
    PackPackages,
    UnpackPackages,
}

impl Role {
    /// The hidden command that precedes the role's name.
    pub const VERB: &'static str = "__child";

    pub fn name(self) -> &'static str {
        match self {
            Role::Fetch => "fetch",
            Role::Tip => "tip",
            Role::Checkout => "checkout",
            Role::Document => "document",
            Role::Archive => "archive",
            Role::Pack => "pack",
            Role::PackRelease => "pack-release",
            Role::UnpackRelease => "unpack-release",
            Role::PackPackages => "pack-packages",
            Role::UnpackPackages => "unpack-packages",
        }
    }

    pub fn named(name: &str) -> Option<Role> {
        [
            Role::Fetch,
            Role::Tip,
            Role::Checkout,
            Role::Document,
            Role::Archive,
            Role::Pack,
            Role::PackRelease,
            Role::UnpackRelease,
            Role::PackPackages,
            Role::UnpackPackages,
        ]
        .into_iter()
        .find(|role| role.name() == name)
    }
}

/// Runs a child: calls `act` with the parent's request and writes the reply. The exit status is the one of the error in
/// the reply, or 0.
pub fn serve<Req: DeserializeOwned, T: Serialize>(act: impl FnOnce(&Req) -> Result<T>) -> ExitCode {
    let (mut reply, mut exit) = encode_reply(request().and_then(|request| act(&request)));
    if reply.len() as u64 > REPLY_BYTES {
        let cause = format!("the description of the commit has {} bytes", reply.len());
        let error = Error::new(Code::SourceTooLarge, "answering the parent", cause);
        (reply, exit) = encode_reply(Err::<(), _>(error));
    }
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(&reply).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::from(exit),
        // The parent has ended: no process reads this status.
        Err(_) => ExitCode::from(Exit::Bug as u8),
    }
}

/// The same for a child that goes on after its reply: `begin` returns the reply and what runs then. A line end follows
/// the reply.
pub fn serve_on<Req, T, F>(begin: impl FnOnce(Req) -> Result<(T, F)>) -> ExitCode
where
    Req: DeserializeOwned,
    T: Serialize,
    F: FnOnce() -> ExitCode,
{
    let (result, go_on) = match request().and_then(begin) {
        Ok((value, go_on)) => (Ok(value), Some(go_on)),
        Err(error) => (Err(error), None),
    };
    let (mut reply, exit) = encode_reply(result);
    reply.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    match (stdout.write_all(&reply).and_then(|()| stdout.flush()), go_on) {
        (Ok(()), Some(go_on)) => go_on(),
        _ => ExitCode::from(exit),
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
    // serde's message could quote the request and a password in it: only the position is reported.
    serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(
            Code::Bug,
            doing(),
            format!("it is not valid JSON for this role (line {}, column {})", error.line(), error.column()),
        )
    })
}

/// Gives up what a process can give up by itself. The unit restricts the rest: uid, file system and network.
fn confine() -> Result<()> {
    let doing = || "confining the child".to_owned();
    prctl::set_no_new_privs().doing(doing)?;
    // The kernel kills the child with its parent, because a parent that was killed cannot enforce the deadline.
    prctl::set_pdeathsig(Signal::SIGKILL).doing(doing)?;
    umask(Mode::from_bits_truncate(0o022));
    Ok(())
}

fn encode_reply<T: Serialize>(result: Result<T>) -> (Vec<u8>, u8) {
    let (reply, exit) = match result {
        Ok(value) => (Reply::Ok(value), 0),
        Err(error) => (Reply::Error(Box::new(error.sent())), error.exit() as u8),
    };
    match serde_json::to_vec(&reply) {
        Ok(bytes) => (bytes, exit),
        // The parent reports an empty reply as an error.
        Err(_) => (Vec::new(), Exit::Bug as u8),
    }
}
