//! The door: the only room that touches files, processes, units and the network.
//!
//! `Observe` reads, `Host` acts. Whoever plans holds `&impl Observe`; only the interpreter of plans
//! holds a `Host`.

pub mod aws;
pub mod host;
pub mod retry;
pub mod sandbox;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::facts::{Facts, Instance, Source};
use crate::plan::{Action, Seconds};
use crate::secret::Secret;

pub use host::LocalHost;
pub use sandbox::request::{Credential, FetchRequest, Repository};

/// What a step would find.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "look", content = "how", rename_all = "kebab-case")]
pub enum Look {
    AlreadySo,
    /// With what would change, in a few words.
    WouldChange(String),
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Unchanged,
    /// With what came of it, in a few words.
    Changed(String),
}

/// A fetched repository in private scratch, removed when this is dropped.
pub struct Scratch {
    pub repository: PathBuf,
    pub(crate) _guard: Box<dyn Send + Sync>,
}

/// What the steps of a run share.
pub struct Context<'a> {
    /// Where the fetched objects are, unless no checkout is to be done.
    pub scratch: Option<&'a Scratch>,
    /// Told now and then what a long step waits for.
    pub progress: &'a (dyn Fn(&str) + Send + Sync),
}

pub trait Observe: Sync {
    /// The machine itself, without the instance.
    fn facts(&self) -> impl Future<Output = Result<Facts>> + Send;

    /// The instance, waiting for IMDS as long as told.
    fn instance(&self, wait: Seconds) -> impl Future<Output = Result<Instance>> + Send;

    /// The instance's tags, waiting for those that are needed.
    fn tags(&self, needed: &[String], wait: Seconds) -> impl Future<Output = Result<BTreeMap<String, String>>> + Send;

    /// The current version of a secret. `region` is absent on a laptop.
    fn secret(&self, name: &str, region: Option<&str>, wait: Seconds) -> impl Future<Output = Result<Secret>> + Send;

    /// One branch's commit into private scratch.
    fn fetch(&self, request: FetchRequest) -> impl Future<Output = Result<(Source, Scratch)>> + Send;

    /// A small text file; `None` if there is none.
    fn text(&self, path: &Path) -> impl Future<Output = Result<Option<String>>> + Send;

    /// Whether the next boot would find this very program by itself.
    fn is_installed(&self) -> bool;

    fn is_root(&self) -> bool;

    fn look(&self, action: &Action) -> impl Future<Output = Result<Look>> + Send;
}

pub trait Host: Observe {
    fn act(&self, action: &Action, context: &Context) -> impl Future<Output = Result<Change>> + Send;
}
