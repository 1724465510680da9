//! The parent's side on a laptop: a child of the caller, held to a deadline.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, Command};

use super::child::Role;
use super::request::{REPLY_BYTES, encode_request, read_reply};
use crate::error::{Code, Coded, Error, Result};
use crate::secret::ForeignText;

/// A group that owns nothing: whoever owns what is to be read needs none.
const NOBODY_S: u32 = 65534;
const STDERR_BYTES: u64 = 4 << 10;

/// Runs `exe __child <role>`, says the request, hears the reply. After `deadline` nothing of it is left,
/// and neither when this future is dropped.
pub async fn plain<Req: Serialize, T: DeserializeOwned + Send + 'static>(
    exe: &Path,
    role: Role,
    request: &Req,
    deadline: Duration,
) -> Result<T> {
    plain_as(None, exe, role, request, deadline).await
}

/// The same as another user: for root, who must not read what others wrote as itself.
pub async fn plain_as<Req: Serialize, T: DeserializeOwned + Send + 'static>(
    uid: Option<u32>,
    exe: &Path,
    role: Role,
    request: &Req,
    deadline: Duration,
) -> Result<T> {
    let request = encode_request(request)?;
    let mut command = Command::new(exe);
    if let Some(uid) = uid {
        // With the uid go the further groups, and every capability; root's own group would stay.
        command.uid(uid).gid(NOBODY_S);
    }
    let mut child = command
        .args([Role::VERB, role.name()])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Out of reach of the terminal's signals, and killed whole.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .doing(|| format!("starting the {} child {}", role.name(), exe.display()))?;
    let group = Group(child.id());
    let told = tokio::time::timeout(deadline, converse(&mut child, &request)).await;
    if told.is_err() {
        group.kill();
    }
    // Reaped before the group is forgotten, so that its number cannot be somebody else's by then.
    let status = child.wait().await;
    std::mem::forget(group);
    match told {
        // What that means, whoever asked knows.
        Err(_) => Err(Error::new(
            Code::Deadline,
            format!("waiting for the {} child", role.name()),
            format!("not done after {:.1} s; it was killed", deadline.as_secs_f64()),
        )),
        Ok(Err(error)) => Err(Error::new(Code::Io, format!("talking with the {} child", role.name()), error)),
        Ok(Ok(said)) => {
            let status = status.doing(|| format!("waiting for the {} child", role.name()))?;
            heard(role, status, said).await
        }
    }
}

struct Said {
    reply: Vec<u8>,
    stderr: Vec<u8>,
}

async fn converse(child: &mut Child, request: &[u8]) -> std::io::Result<Said> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let say = async {
        if let Some(mut stdin) = stdin {
            // A child that ends before it has heard all has said why.
            let _ = stdin.write_all(request).await;
        }
        Ok(())
    };
    let hear = async {
        let mut reply = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(REPLY_BYTES + 1).read_to_end(&mut reply).await?;
        }
        Ok(reply)
    };
    let ((), reply, stderr) = tokio::try_join!(say, hear, last_words(stderr))?;
    child.wait().await?;
    Ok(Said { reply, stderr })
}

/// The first of what it says on stderr. The rest is read, too: a full pipe would stop it, a closed one
/// would make it panic.
async fn last_words(stderr: Option<ChildStderr>) -> std::io::Result<Vec<u8>> {
    let mut words = Vec::new();
    if let Some(mut stderr) = stderr {
        (&mut stderr).take(STDERR_BYTES).read_to_end(&mut words).await?;
        tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
    }
    Ok(words)
}

async fn heard<T: DeserializeOwned + Send + 'static>(
    role: Role,
    status: ExitStatus,
    said: Said,
) -> Result<T> {
    if said.reply.is_empty() {
        return Err(silent(role, status, &said.stderr));
    }
    if said.reply.len() as u64 > REPLY_BYTES {
        return Err(Error::new(
            Code::Bug,
            format!("hearing the {} child", role.name()),
            "its reply has no end",
        ));
    }
    read_reply(said.reply).await
}

/// A child that was killed, or that crashed.
fn silent(role: Role, status: ExitStatus, stderr: &[u8]) -> Error {
    let doing = format!("waiting for the {} child", role.name());
    let last = ForeignText::message(String::from_utf8_lossy(stderr).lines().last().unwrap_or_default());
    let error = Error::new(Code::Io, doing, format!("it ended without a reply ({status})"))
        .remedy("was it killed for want of memory? the kernel's log says so");
    if last.is_blank() { error } else { error.because(last) }
}

/// The child's process group, killed with whatever it started. Forgotten once the child is reaped.
struct Group(Option<u32>);

impl Group {
    fn kill(&self) {
        if let Some(id) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // Gone already is as good.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
