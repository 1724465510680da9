//! The machine: only this module touches files, processes, units and the network.
//!
//! `Observe` reads, `Host` acts. The code that makes plans has an `&impl Observe`; only `apply`, which carries them
//! out, has a `Host`.

// Everywhere else clippy forbids what touches the machine.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod attend;
pub mod aws;
pub mod budget;
mod children;
mod container;
mod disk;
mod fleet;
pub mod git;
mod install;
pub mod jail;
mod local;
mod npm_tree;
mod process;
pub mod progress;
mod registries;
mod release_cache;
pub mod retry;
pub mod seal;
mod service;
mod survey;
mod upkeep;
mod versions;
mod volume;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::facts::{
    Asked, Commit, Facts, Gate, Group, GroupQuery, Instance, Listed, Network, Notices, Places, Present,
    Refresh, Resources, S3Object, Source, TargetHealth, Uncommitted, ValuePlace,
};
use crate::plan::{Action, Keepalive, Seconds};
use crate::secret::Secret;

pub use attend::{is_held, is_run_active};
pub use children::child;
pub use disk::files::{read as read_file, remove_file, write as replace_file};
pub use disk::new_file::create as create_file;
pub use git::credential::{App, Credential};
pub use git::request::{FetchRequest, Limits, Repository};
pub use install::kept::Release;
pub use jail::request::DocumentRequest;
pub use local::LocalHost;
pub use process::boot_times::boot_times;
pub use process::lock::{Lock, agent};
pub use process::log::{LogLine, LogRequest, read as read_log};
pub use process::this::{forbid_core_dumps, own_sha256};
pub use service::hooks::read as hooks;
pub use service::operator;

/// The result of checking a step before it is carried out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "look", content = "how", rename_all = "kebab-case")]
pub enum Check {
    AlreadySo,
    /// With the present state, such as `absent`.
    WouldChange(String),
}

/// The result of one probe of a service, with the reason.
pub enum Health {
    Healthy(String),
    Unhealthy(String),
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Unchanged,
    /// With the former state, or the result.
    Changed(String),
}

/// How long to wait for a secret.
#[derive(Clone, Copy, Debug)]
pub struct SecretPatience {
    pub time: Seconds,
    /// At an instance's first boot the role's policy may be new. AWS denies access until it has propagated.
    pub waits_for_permission: bool,
}

/// A fetched repository in a private scratch directory, which is removed when this value is dropped.
pub struct Scratch {
    pub repository: PathBuf,
    pub(crate) _guard: Box<dyn std::any::Any>,
}

/// A downloaded object, removed when this value is dropped.
pub struct Download {
    pub path: PathBuf,
    /// Seconds since the object was written.
    pub age: u64,
    pub(crate) _guard: Box<dyn std::any::Any>,
}

/// The tokens of private registries, by the names of their keys.
pub type Tokens = BTreeMap<String, Secret>;

/// What the steps of a run share.
#[derive(Clone, Copy, Default)]
pub struct Context<'a> {
    /// The fetched repository; `None` if the plan has no checkout.
    pub scratch: Option<&'a Scratch>,
    /// `None` if no command of the plan needs them.
    pub tokens: Option<&'a Tokens>,
    /// The way back after a failed run: it uses what room the disk still has.
    pub takes_back: bool,
    /// Called before a step changes the machine.
    pub before: Option<&'a dyn Fn()>,
}

// The async runtime has one thread: no future needs to be Send.
#[allow(async_fn_in_trait)]
pub trait Observe {
    /// The machine, without what IMDS says, and the installed versions of these programs.
    async fn facts(&self, programs: &[&Places]) -> Result<Facts>;

    /// The EC2 instance. Waits for IMDS for at most `wait`.
    async fn instance(&self, wait: Seconds) -> Result<Instance>;

    /// The instance's tags. Waits at most `wait` for those that are needed.
    async fn tags(&self, needed: &[String], wait: Seconds) -> Result<BTreeMap<String, String>>;

    /// The Auto Scaling state that the instance goes to or has; `None` outside of a group. Waits for IMDS for at most
    /// `wait`.
    async fn lifecycle_state(&self, wait: Seconds) -> Result<Option<String>>;

    /// The current version of a secret. `region` is absent on a laptop.
    async fn secret(
        &self,
        name: &str,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Secret>;

    /// A parameter, or all parameters below a path, each with its name without the path. `region` is absent on a laptop.
    async fn parameters(
        &self,
        place: &ValuePlace,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Vec<(String, Secret)>>;

    /// The text of an object of S3; `None` if it is absent. `region` is absent on a laptop.
    async fn object(
        &self,
        at: &S3Object,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Option<String>>;

    /// An object of S3 of at most the size of a repository, as a file; `None` if it is absent. `region` is absent on a laptop.
    async fn download(
        &self,
        at: &S3Object,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Option<Download>>;

    /// The objects whose keys begin with that of `below`: at most 1000.
    async fn objects(
        &self,
        below: &S3Object,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Vec<Listed>>;

    /// The folders at a place that ends with a slash, by their keys.
    async fn folders(
        &self,
        at: &S3Object,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Vec<String>>;

    /// The Auto Scaling groups that fit. `region` is absent on a laptop.
    async fn groups(&self, find: &GroupQuery, region: Option<&str>, network: &Network) -> Result<Vec<Group>>;

    /// What the load balancer says of each target of a group.
    async fn target_health(
        &self,
        group: &Group,
        region: Option<&str>,
        network: &Network,
    ) -> Result<Vec<TargetHealth>>;

    /// The last instance refreshes of a group, the newest first.
    async fn refreshes(&self, group: &str, region: Option<&str>, network: &Network) -> Result<Vec<Refresh>>;

    /// Downloads a text over https. Retries for at most `patience`.
    async fn document(&self, request: DocumentRequest, patience: Seconds) -> Result<String>;

    /// Fetches one commit of a branch into a scratch directory. Retries for at most `patience`.
    async fn fetch(&self, request: FetchRequest, patience: Seconds) -> Result<(Source, Scratch)>;

    /// The newest commit of a branch, without its objects. Retries for at most `patience`.
    async fn tip(&self, request: FetchRequest, patience: Seconds) -> Result<Commit>;

    /// A small text file; `None` if it is absent.
    async fn text(&self, path: &Path) -> Result<Option<String>>;

    /// A policy file. Fails if users other than root and the user of this process can change it.
    async fn policy_text(&self, path: &Path) -> Result<Option<String>>;

    /// Seconds since a file was written; `None` if it is absent.
    fn file_age(&self, path: &Path) -> Option<u64>;

    /// Whether there is anything at this path of the operator's.
    fn exists(&self, path: &Path) -> bool;

    fn is_root(&self) -> bool;

    /// Probes a service once.
    async fn probe(&self, gate: &Gate) -> Result<Health>;

    /// What serves now; `None` if bootagent has no service on this machine and `asked` names none.
    async fn present(&self, asked: &Asked) -> Result<Option<Present>>;

    /// A working tree as a `Source`, with the text of its evidence files.
    fn tree(&self, path: &Path, evidence: &[String]) -> Result<Source>;

    /// What differs between a working tree and its last commit; `None` if it is not one of git's, or cannot be read.
    fn uncommitted(&self, path: &Path) -> Option<Uncommitted>;

    /// Whether a step would change something. Changes nothing.
    async fn check(&self, action: &Action) -> Result<Check>;
}

#[allow(async_fn_in_trait)]
pub trait Host: Observe {
    /// Carries out a step, unless the machine is in the wanted state already.
    async fn act(&self, action: &Action, context: &Context) -> Result<Change>;

    /// Sends one heartbeat, unless the hook is completed already. One attempt: the next one is soon.
    async fn keep_alive(&self, keepalive: &Keepalive) -> Result<()>;

    /// Records which versions the machine's programs printed, and that its CA certificates can be used, for the next run.
    fn remember(&self) -> Result<()>;
}

/// How a run ended that the watcher started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    Healthy,
    /// It failed, and the previous deployment serves.
    FormerServes,
    /// Another run was active, or something outside failed: it may be tried again.
    Busy,
    /// With this exit status; -1 if a signal ended it.
    Failed(i32),
}

/// What `bootagent watch` reads and does, besides single actions.
#[allow(async_fn_in_trait)]
pub trait Attend: Host {
    /// What IMDS announces of the instance's end. One attempt.
    async fn notices(&self) -> Result<Notices>;

    /// The id of a secret's current version. One attempt.
    async fn secret_version(&self, name: &str, region: &str, network: &Network) -> Result<String>;

    /// Tells Auto Scaling that the instance is unhealthy. One attempt.
    async fn report_unhealthy(&self, region: &str, instance: &str, network: &Network) -> Result<()>;

    /// Stops a unit, and waits for its end: systemd kills it after its `TimeoutStopSec=`.
    async fn stop_service(&self, unit: &str) -> Result<()>;

    /// Runs bootagent for the pinned commit with the values of now, and waits for the run's end.
    async fn refresh(&self) -> Result<Refreshed>;

    /// What is left of the memory, and of the file systems of these directories.
    fn resources(&self, room: &[PathBuf]) -> Resources;
}

/// Runs work that may block (a slow disk, parsing untrusted text) in another thread, so that signals, heartbeats and
/// time limits are still served. The work cannot be cancelled; `main` does not wait for it.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::new(Code::Bug, "working in another thread", error)),
    }
}

/// The kernel's random id of this boot; empty if it cannot be read.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Seconds of the kernel's monotonic clock, which begins at the boot; 0 if it cannot be read.
pub fn monotonic() -> f64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(0.0, |now| std::time::Duration::from(now).as_secs_f64())
}

/// When a process started, in clock ticks since the boot. With it a pid identifies one process; the kernel reuses pids.
pub fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name, in parentheses, may contain spaces and parentheses.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Writes lines to the instance's console. Ignores errors: a machine may have no console.
pub fn console(lines: &[String]) {
    use std::io::Write;
    if let Ok(mut console) = std::fs::File::options().write(true).open("/dev/console") {
        let _ = console.write_all((lines.join("\r\n") + "\r\n").as_bytes());
    }
}

/// SIGTERM, SIGINT and SIGHUP, listened to from the moment of its making: one that came before it is waited for counts, too.
pub struct ShutdownSignals([Option<tokio::signal::unix::Signal>; 3]);

impl ShutdownSignals {
    pub fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self(
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()]
                .map(|kind| signal(kind).ok()),
        )
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        async fn received(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            () = received(terminate) => "SIGTERM",
            () = received(interrupt) => "SIGINT",
            () = received(hangup) => "SIGHUP",
        }
    }
}

/// The next of SIGTERM, SIGINT and SIGHUP from now on.
pub fn shutdown_signal() -> impl Future<Output = &'static str> {
    let mut signals = ShutdownSignals::listen();
    async move { signals.next().await }
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

/// The time of a text like `2025-11-28T09:12:44.000Z`, in seconds since 1970.
pub fn date_time(text: &str) -> Option<u64> {
    use aws_smithy_types::date_time::{DateTime, Format};
    DateTime::from_str(text, Format::DateTime).ok()?.secs().try_into().ok()
}

/// The time of a `Date` header, in seconds since 1970.
pub fn http_date(text: &str) -> Option<u64> {
    use aws_smithy_types::date_time::{DateTime, Format};
    DateTime::from_str(text, Format::HttpDate).ok()?.secs().try_into().ok()
}

/// A unique name for a run, which sorts by time: start time and pid, in hexadecimal.
pub fn run_id() -> String {
    format!("{:x}-{:x}", now(), pid())
}

pub fn pid() -> u32 {
    std::process::id()
}
