//! The parent's side on a laptop: a child of the caller, held to a deadline.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use super::child::Role;
use super::request::{REPLY_BYTES, encode_request, read_reply};
use crate::error::{Code, Coded, Error, Result};
use crate::machine::process::program::{self, Heard, Keep, converse};

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

/// A child that was killed, or that crashed.
fn silent(doing: String, status: ExitStatus, stderr: &[u8]) -> Error {
    let error = Error::new(Code::Io, doing, format!("it ended without a reply ({status})"))
        .remedy("was it killed for want of memory? the kernel's log says so");
    match program::lines(&String::from_utf8_lossy(stderr)).pop() {
        Some(last) => error.because(last),
        None => error,
    }
}
