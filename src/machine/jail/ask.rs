//! The parent's side of a child: starts it, sends one request and reads one reply. As root the child is a transient
//! unit, on a laptop a process of the caller.

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
use crate::machine::process::program::{self, ChildOutput, Keep, communicate, failed};
use crate::machine::process::{journal, memory, reason};
use crate::plan::layout;

/// nogroup, which owns no files: a child that reads files as their owner needs no group.
const NOGROUP: u32 = 65534;

/// Runs `exe __child <role>`, sends the request and reads the reply. After `deadline`, or when this future is dropped,
/// the child is killed with everything that it started.
pub async fn ask<Req: Serialize, T: DeserializeOwned + Send + 'static>(
    exe: &Path,
    role: Role,
    request: &Req,
    deadline: Duration,
) -> Result<T> {
    ask_as(None, exe, role, request, deadline).await
}

/// The same as another user. Root reads another user's repository with that user's uid: what is in it must not be
/// parsed with root's rights, and a symbolic link in it must not lead to a file that only root can read.
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
        // `uid` also drops the supplementary groups and all capabilities, but the child would keep root's group.
        command.uid(uid).gid(NOGROUP);
    }
    let output = communicate(command, Some(&request), deadline, Keep::First(REPLY_BYTES as usize + 1)).await;
    match output.doing(|| format!("running the {} child {}", role.name(), exe.display()))? {
        None => {
            let cause = format!("not done after {:.1} s; it was killed", deadline.as_secs_f64());
            Err(Error::new(Code::Deadline, doing(), cause))
        }
        Some(output) if output.stdout.is_empty() => Err(no_reply(doing(), output.status, &output.stderr)),
        Some(output) if output.stdout.len() as u64 > REPLY_BYTES => {
            Err(Error::new(Code::Bug, doing(), format!("its reply is longer than {REPLY_BYTES} bytes")))
        }
        Some(ChildOutput { stdout, .. }) => read_reply(stdout).await,
    }
}

/// Without unix sockets the child cannot pass an open file to another process, which could change what the child wrote
/// after the child has ended.
const NO_UNIX_SOCKETS: &str = "RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK";

/// Runs the child in a transient unit. Returns the reply's bytes, for `read_reply`.
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
    // No reply: the child was killed before it could write one, or was never started.
    let doing = format!("running the {} child", role.name());
    let systemd_lines = journal::systemd_messages(&unit, began).await;
    if let Some(cause) = memory::killed(output.status, &systemd_lines) {
        return Err(Fault::OutOfMemory.error(doing, memory::with_state(cause)));
    }
    if is_disk_full(&systemd_lines) {
        let fullest = room::fullest(&[PathBuf::from(layout::PRIVATE)]);
        return Err(Fault::DiskFull.error(doing, format!("no room: {fullest}")));
    }
    Err(match reason::of_the_unit(output.status, &systemd_lines) {
        Some(cause) => Fault::UnitFailed.error(doing, cause).remedy(reason::REMEDY),
        None => failed(Code::CheckoutFailed, doing, &output),
    })
}

/// The error if the child was killed or crashed.
fn no_reply(doing: String, status: ExitStatus, stderr: &[u8]) -> Error {
    let error = Error::new(Code::Io, doing, format!("it ended without a reply ({status})"))
        .remedy("journalctl -k shows whether the kernel killed it for lack of memory");
    match program::lines(&String::from_utf8_lossy(stderr)).pop() {
        Some(last) => error.because(last),
        None => error,
    }
}
