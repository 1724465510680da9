//! The door: the only room that touches files, processes, units and the network.
//!
//! `Observe` reads, `Host` acts. What plans holds `&impl Observe`; only the interpreter of plans
//! holds a `Host`.

// The one room that may.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod aws;
mod children;
mod disk;
pub mod git;
mod install;
pub mod jail;
mod local;
mod process;
pub mod progress;
pub mod retry;
mod service;
mod survey;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::facts::{Asked, Commit, Facts, Gate, Instance, Network, Places, Present, Source};
use crate::plan::{Action, Seconds};
use crate::secret::Secret;

pub use children::child;
pub use disk::files::{read as read_file, remove_file, write as replace_file};
pub use git::credential::{App, Credential};
pub use git::request::{FetchRequest, Limits, Repository};
pub use install::kept::Release;
pub use jail::request::DocumentRequest;
pub use local::LocalHost;
pub use process::lock::{Lock, agent};
pub use process::this::{become_program, forbid_core_dumps};
pub use service::operator;

/// What a step would find.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "look", content = "how", rename_all = "kebab-case")]
pub enum Check {
    AlreadySo,
    /// With what would change, in a few words.
    WouldChange(String),
}

/// What one probe of a service said, in a few words.
pub enum Health {
    Well(String),
    Unwell(String),
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Unchanged,
    /// With what came of it, in a few words.
    Changed(String),
}

/// How a secret is waited for.
#[derive(Clone, Copy, Debug)]
pub struct SecretPatience {
    pub time: Seconds,
    /// On an instance's first boot a role may have got its policy a moment ago: until AWS knows that everywhere, it denies.
    pub waits_for_permission: bool,
}

/// A fetched repository in private scratch, removed when this is dropped.
pub struct Scratch {
    pub repository: PathBuf,
    pub(crate) _guard: Box<dyn std::any::Any>,
}

/// What the steps of a run share.
pub struct Context<'a> {
    /// Where the fetched objects are, unless no checkout is to be done.
    pub scratch: Option<&'a Scratch>,
}

// One thread runs everything that is not a child: no future needs to be Send.
#[allow(async_fn_in_trait)]
pub trait Observe {
    /// The machine itself, without the instance, and which of these programs it has.
    async fn facts(&self, programs: &[&Places]) -> Result<Facts>;

    /// The instance, waiting for IMDS as long as told.
    async fn instance(&self, wait: Seconds) -> Result<Instance>;

    /// The instance's tags, waiting for those that are needed.
    async fn tags(&self, needed: &[String], wait: Seconds) -> Result<BTreeMap<String, String>>;

    /// The current version of a secret. `region` is absent on a laptop.
    async fn secret(
        &self,
        name: &str,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Secret>;

    /// The text that a server has at an address, trying again as long as told.
    async fn document(&self, request: DocumentRequest, patience: Seconds) -> Result<String>;

    /// One branch's commit into private scratch, trying again as long as told.
    async fn fetch(&self, request: FetchRequest, patience: Seconds) -> Result<(Source, Scratch)>;

    /// Where a branch is, and nothing of it, trying again as long as told.
    async fn tip(&self, request: FetchRequest, patience: Seconds) -> Result<Commit>;

    /// A small text file; `None` if there is none.
    async fn text(&self, path: &Path) -> Result<Option<String>>;

    /// The same of the policy's: refused if others than root, or than the user of this process, can change it.
    async fn policy_text(&self, path: &Path) -> Result<Option<String>>;

    fn is_root(&self) -> bool;

    /// One probe of a service, whatever it went through before.
    async fn probe(&self, gate: &Gate) -> Result<Health>;

    /// What serves at this moment; `None` where no service of ours stands and none is asked for.
    async fn present(&self, asked: &Asked) -> Result<Option<Present>>;

    /// A working tree as it stands, as far as plans are made of it.
    fn tree(&self, path: &Path, evidence: &[String]) -> Result<Source>;

    async fn check(&self, action: &Action) -> Result<Check>;
}

#[allow(async_fn_in_trait)]
pub trait Host: Observe {
    async fn act(&self, action: &Action, context: &Context) -> Result<Change>;
}

/// Runs what may take long beside the one thread of everything else: a slow disk, and text that others wrote. So
/// signals, heartbeats, deadlines and the budget hold meanwhile. It cannot be cancelled; `main` does not wait for it.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::new(Code::Bug, "working in another thread", error)),
    }
}

/// The kernel's name for this boot.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// When a process started, in the kernel's ticks since the boot: with its pid it names a process for
/// good, while a pid alone may go to another program.
pub fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name, in parentheses, may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// The last words, on the instance's console. A machine may have none.
pub fn console(lines: &[String]) {
    use std::io::Write;
    if let Ok(mut console) = std::fs::File::options().write(true).open("/dev/console") {
        let _ = console.write_all((lines.join("\r\n") + "\r\n").as_bytes());
    }
}

/// Returns when a signal asks the run to end, with its name.
pub async fn shutdown_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        _ = hangup.recv() => "SIGHUP",
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time in seconds since 1970, as people and other programs read it: `2025-11-28T09:12:44Z`.
pub fn utc(seconds: u64) -> String {
    use aws_smithy_types::date_time::{DateTime, Format};
    let time = DateTime::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    time.fmt(Format::DateTime).unwrap_or_else(|_| format!("@{seconds}"))
}

/// A server's clock as its `Date` header tells it, in seconds since 1970.
pub fn http_date(text: &str) -> Option<u64> {
    use aws_smithy_types::date_time::{DateTime, Format};
    DateTime::from_str(text, Format::HttpDate).ok()?.secs().try_into().ok()
}

/// A name that no other run has, and that sorts by time.
pub fn run_id() -> String {
    format!("{:x}-{:x}", now(), pid())
}

pub fn pid() -> u32 {
    std::process::id()
}
