//! The parent's side of a child: a process of the caller on a laptop, a transient unit else. It sends one request, and
//! reads one reply.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use super::child::Role;
use super::request::{REPLY_BYTES, encode_request, read_reply};
use super::unit::{TransientUnit, own_program};
use crate::error::{Code, Coded, Error, Result, is_disk_full};
use crate::fault::Fault;
use crate::machine::disk::room;
use crate::machine::now;
use crate::machine::process::program::{self, Heard, Keep, converse, failed};
use crate::machine::process::{journal, memory, reason};
use crate::plan::layout;

/// A group that owns nothing: a reader with the owner's uid needs none.
const NOBODY_S: u32 = 65534;

/// Runs `exe __child <role>`, sends the request, reads the reply. After `deadline` nothing of it is left,
/// and neither when this future is dropped.
pub async fn ask<Req: Serialize, T: DeserializeOwned + Send + 'static>(
    exe: &Path,
    role: Role,
    request: &Req,
    deadline: Duration,
) -> Result<T> {
    ask_as(None, exe, role, request, deadline).await
}

/// The same as another user: for root, who must not read what others wrote as itself.
pub async fn ask_as<Req: Serialize, T: DeserializeOwned + Send + 'static>(
    uid: Option<u32>,
    exe: &Path,
    role: Role,
    request: &Req,
    deadline: Duration,
) -> Result<T> {
    let doing = || format!("waiting for the {} child", role.name());
    let request = encode_request(request)?;
    let mut command = Command::new(exe);
    command.args([Role::VERB, role.name()]).env_clear();
    if let Some(uid) = uid {
        // With the uid go the further groups, and every capability; root's own group would stay.
        command.uid(uid).gid(NOBODY_S);
    }
    let heard = converse(command, Some(&request), deadline, Keep::First(REPLY_BYTES as usize + 1)).await;
    match heard.doing(|| format!("running the {} child {}", role.name(), exe.display()))? {
        // What that means, the caller knows.
        None => {
            let cause = format!("not done after {:.1} s; it was killed", deadline.as_secs_f64());
            Err(Error::new(Code::Deadline, doing(), cause))
        }
        Some(heard) if heard.stdout.is_empty() => Err(silent(doing(), heard.status, &heard.stderr)),
        Some(heard) if heard.stdout.len() as u64 > REPLY_BYTES => {
            Err(Error::new(Code::Bug, doing(), "its reply has no end"))
        }
        Some(Heard { stdout, .. }) => read_reply(stdout).await,
    }
}

/// Without a unix socket it can hand no open file to another process: what it wrote is its parent's alone when it has
/// ended.
const NO_UNIX_SOCKETS: &str = "RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK";

/// The same in a transient unit. The reply is for `read_reply`.
pub async fn ask_in(
    transient: TransientUnit,
    role: Role,
    request: &impl serde::Serialize,
) -> Result<Vec<u8>> {
    let transient = transient.property(NO_UNIX_SOCKETS);
    let argv = [own_program()?.display().to_string(), Role::VERB.to_owned(), role.name().to_owned()];
    let (unit, began) = (transient.unit().to_owned(), now());
    let output = transient.run(&argv, Some(encode_request(request)?), REPLY_BYTES as usize).await?;
    if !output.stdout.is_empty() {
        return Ok(output.stdout);
    }
    // Killed before it could answer, or never started.
    let doing = format!("running the {} child", role.name());
    let said = journal::last_word(&unit, began).await;
    if let Some(how) = memory::killed(output.status, &said) {
        return Err(Fault::OutOfMemory.error(doing, memory::with_state(how)));
    }
    if is_disk_full(&said) {
        let fullest = room::fullest(&[PathBuf::from(layout::PRIVATE)]);
        return Err(Fault::DiskFull.error(doing, format!("no room: {fullest}")));
    }
    Err(match reason::of_the_unit(output.status, &said) {
        Some(cause) => Fault::UnitFailed.error(doing, cause).remedy(reason::REMEDY),
        None => failed(Code::CheckoutFailed, doing, &output),
    })
}

/// A child that was killed, or that crashed.
fn silent(doing: String, status: ExitStatus, stderr: &[u8]) -> Error {
    let error = Error::new(Code::Io, doing, format!("it ended without a reply ({status})"))
        .remedy("was it killed for want of memory? the kernel's log says so");
    match program::lines(&String::from_utf8_lossy(stderr)).pop() {
        Some(last) => error.because(last),
        None => error,
    }
}
