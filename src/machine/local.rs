//! The implementation of `Observe` and `Host` for this machine. Only dispatches to the modules that do the work.

mod act;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::facts::{
    Asked, Commit, Facts, Gate, Group, GroupQuery, Instance, Listed, Network, Places, Present, Refresh,
    S3Object, Service, Source, TargetHealth, Uncommitted, ValuePlace,
};
use crate::machine::aws::{self, Firmware, Imds, Maker, autoscaling, evidence, groups, s3, transfer};
use crate::machine::container::{engine, images, remove};
use crate::machine::disk::staging::Staging;
use crate::machine::disk::{files, owned, room};
use crate::machine::git::changes;
use crate::machine::git::parent;
use crate::machine::git::request::{FetchRequest, Limits};
use crate::machine::install::kept::{self, Release};
use crate::machine::install::{
    aside, cache, evaluate, packages, releases, runtimes, site, tools, working_tree,
};
use crate::machine::jail::imds_rules;
use crate::machine::jail::request::DocumentRequest;
use crate::machine::process::{units, users};
use crate::machine::release_cache;
use crate::machine::service::{
    data_host, ensure_running, gate, hooks, leftovers, migrate, present, reach, retry,
};
use crate::machine::survey;
use crate::machine::upkeep::{journal, labels, swap};
use crate::machine::versions::Versions;
use crate::machine::volume;
use crate::machine::{self, Check, Download, Health, Observe, Scratch, SecretPatience, blocking};
use crate::plan::{Action, Seconds, layout};
use crate::secret::Secret;

/// In bytes: more than any file that people write by hand.
const LONGEST: u64 = 4 << 20;

pub struct LocalHost {
    /// Made at first use: most commands do not read IMDS.
    imds: std::cell::OnceCell<Imds>,
    root: bool,
    /// The name of the fetch's transient unit and scratch directory.
    fetch: String,
    versions: Versions,
}

impl LocalHost {
    /// For the run that holds the lock. Its fetch has a fixed name, so that the next run finds what a killed one left.
    pub fn new() -> Self {
        let root = nix::unistd::geteuid().is_root();
        LocalHost {
            imds: Default::default(),
            root,
            fetch: layout::FETCH.to_owned(),
            versions: Versions::default(),
        }
    }

    /// For commands that run beside it: their fetch has a name of its own, so that they do not disturb a run.
    pub fn observer() -> Self {
        let pid = machine::pid();
        LocalHost { fetch: layout::fetch_of(pid, machine::started(pid).unwrap_or(0)), ..Self::new() }
    }

    /// Fails if the firmware names another maker than EC2, and IMDS does not answer either.
    pub async fn refuse_other_machines(&self) -> Result<()> {
        match Firmware::read().maker() {
            Maker::Other(_) => self.instance(NOT_EC2_WAIT).await.map(drop),
            Maker::Ec2 | Maker::Unknown => Ok(()),
        }
    }

    /// The finished releases of a service. Only root can read them.
    pub fn releases(&self, service: &Service) -> Result<Vec<Release>> {
        kept::of(service)
    }

    pub(super) fn versions(&self) -> &Versions {
        &self.versions
    }

    pub(super) fn imds(&self) -> &Imds {
        self.imds.get_or_init(Imds::new)
    }
}

impl Default for LocalHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Observe for LocalHost {
    async fn facts(&self, programs: &[&Places]) -> Result<Facts> {
        survey::facts(programs, &self.versions).await
    }

    async fn instance(&self, wait: Seconds) -> Result<Instance> {
        match Firmware::read().maker() {
            // An answer of IMDS counts for more than the firmware, but is not waited for as long as on EC2.
            Maker::Other(maker) => {
                let instance = self.imds().instance(wait.min(NOT_EC2_WAIT)).await;
                instance.map_err(|error| not_ec2(&maker, &error))
            }
            Maker::Ec2 | Maker::Unknown => self.imds().instance(wait).await,
        }
    }

    async fn tags(&self, needed: &[String], wait: Seconds) -> Result<BTreeMap<String, String>> {
        self.imds().tags(needed, wait).await
    }

    async fn lifecycle_state(&self, wait: Seconds) -> Result<Option<String>> {
        self.imds().lifecycle_state(wait).await
    }

    async fn document(&self, request: DocumentRequest, patience: Seconds) -> Result<String> {
        let unit = layout::document_unit(&self.fetch);
        runtimes::document(request, self.root.then_some(unit.as_str()), patience).await
    }

    async fn secret(
        &self,
        name: &str,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Secret> {
        aws::secret(self.imds(), name, region, network, patience).await
    }

    async fn parameters(
        &self,
        place: &ValuePlace,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Vec<(String, Secret)>> {
        aws::parameters(self.imds(), place, region, network, patience).await
    }

    async fn object(
        &self,
        at: &S3Object,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Option<String>> {
        let read = s3::get(self.imds(), at, s3::Access { region, network, patience }).await?;
        Ok(read.map(|object| object.text))
    }

    async fn download(
        &self,
        at: &S3Object,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Option<Download>> {
        let access = s3::Access { region, network, patience };
        let staging = Staging::new(self.root, &self.fetch)?;
        let path = staging.path().join("object");
        let most = Limits::default().pack_bytes;
        let age = transfer::download(self.imds(), at, most, &path, access).await?;
        Ok(age.map(|age| Download { path, age, _guard: Box::new(staging) }))
    }

    async fn objects(
        &self,
        below: &S3Object,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Vec<Listed>> {
        s3::list(self.imds(), below, s3::Depth::All, s3::Access { region, network, patience }).await
    }

    async fn folders(
        &self,
        at: &S3Object,
        region: Option<&str>,
        network: &Network,
        patience: SecretPatience,
    ) -> Result<Vec<String>> {
        let access = s3::Access { region, network, patience };
        let listed = s3::list(self.imds(), at, s3::Depth::One, access).await?;
        Ok(listed.into_iter().map(|one| one.key).filter(|key| key.ends_with('/')).collect())
    }

    async fn groups(&self, find: &GroupQuery, region: Option<&str>, network: &Network) -> Result<Vec<Group>> {
        groups::groups(self.imds(), find, region, network).await
    }

    async fn target_health(
        &self,
        group: &Group,
        region: Option<&str>,
        network: &Network,
    ) -> Result<Vec<TargetHealth>> {
        groups::target_health(self.imds(), group, region, network).await
    }

    async fn refreshes(&self, group: &str, region: Option<&str>, network: &Network) -> Result<Vec<Refresh>> {
        groups::refreshes(self.imds(), group, region, network).await
    }

    async fn fetch(&self, request: FetchRequest, patience: Seconds) -> Result<(Source, Scratch)> {
        let fetched = parent::fetch(request, self.root.then_some(self.fetch.as_str()), patience).await;
        fetched.map_err(|error| room::located(error, &[parent::scratch(self.root)]))
    }

    async fn tip(&self, request: FetchRequest, patience: Seconds) -> Result<Commit> {
        parent::tip(request, self.root.then_some(self.fetch.as_str()), patience).await
    }

    /// Follows symbolic links, because operators choose these paths.
    async fn text(&self, path: &Path) -> Result<Option<String>> {
        let path = path.to_owned();
        blocking(move || files::text(&path, LONGEST)).await
    }

    async fn policy_text(&self, path: &Path) -> Result<Option<String>> {
        let bad = |cause: String| {
            let remedy =
                "only root may be able to change it: run chown root and chmod go-w on the path that is named";
            Error::new(Code::PolicyInvalid, format!("reading {}", path.display()), cause).remedy(remedy)
        };
        let Some(bytes) = owned::read(path, LONGEST).map_err(bad)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|_| bad("it is not UTF-8 text".to_owned()))
    }

    fn file_age(&self, path: &Path) -> Option<u64> {
        let written = path.metadata().ok()?.modified().ok()?;
        Some(written.elapsed().map_or(0, |age| age.as_secs()))
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_root(&self) -> bool {
        self.root
    }

    fn tree(&self, path: &Path, evidence: &[String]) -> Result<Source> {
        working_tree::working_tree(path, evidence)
    }

    fn uncommitted(&self, path: &Path) -> Option<Uncommitted> {
        changes::uncommitted(path)
    }

    async fn probe(&self, gate: &Gate) -> Result<Health> {
        gate::probe_once(gate, &BTreeSet::new()).await
    }

    async fn present(&self, asked: &Asked) -> Result<Option<Present>> {
        present::present(asked, self.root).await
    }

    async fn check(&self, action: &Action) -> Result<Check> {
        match action {
            Action::CreateUser { name, .. } => users::check(name),
            Action::MakeDirectory { path, owner, mode } => files::check_directory(path, owner, *mode),
            Action::WriteFile { path, content, owner, mode } => {
                files::check_file(path, content.expose().as_bytes(), owner, *mode)
            }
            Action::RemoveFile { path } => files::check_removed(path),
            Action::InstallAgent { path } => releases::check_agent(path),
            Action::RestoreRelease(cached) => release_cache::check(cached),
            Action::RestorePackages(cached) | Action::StorePackages(cached) => {
                releases::check_whole(&cached.release, &cached.record)
            }
            Action::CheckOut(checkout) => releases::check_whole(&checkout.release, &checkout.record),
            Action::LoadImdsRules(rules) => imds_rules::check(rules).await,
            Action::ProveImdsRules { .. } => Ok(Check::WouldChange("proved by every run".to_owned())),
            Action::InstallPackages(wanted) => packages::check(wanted).await,
            Action::MakeSwap(wanted) => swap::check(wanted),
            Action::LimitJournal(wanted) => journal::check(wanted),
            Action::RestoreLabels(wanted) => labels::check(wanted),
            Action::InstallRuntime(install) => runtimes::check(&install.archive),
            Action::InstallTool(tool) => tools::check(tool),
            Action::Evaluate(evaluation) => evaluate::check(evaluation),
            Action::RunCommand(command) => releases::check_whole(&command.directory, &command.done_by),
            Action::RunHooks(wanted) => hooks::check(wanted),
            Action::ConfigureEngine(wanted) => engine::check(wanted).await,
            Action::PrepareImage(image) => images::check(image).await,
            Action::PruneImages(prune) => images::check_prune(prune).await,
            Action::GiveToService(give) => releases::check_whole(&give.release, &give.record),
            Action::PublishSite(site) => {
                let site = site.clone();
                blocking(move || site::check(&site)).await
            }
            Action::FinishRelease { release, record, uses } => {
                releases::check_finished(release, record, uses)
            }
            Action::Migrate(migration) => migrate::check(migration),
            Action::InitializeData(data) => data_host::check(data).await,
            Action::PrepareVolume(volume) => volume::check_volume(volume).await,
            Action::MountVolume(mount) => volume::check_mount(mount),
            Action::SwitchSymlink { path, target, .. } => files::check_link(path, target),
            Action::ReloadUnit { unit } => {
                let state = units::state(unit).await?;
                let known = state.load == "loaded" && !state.needs_reload;
                Ok(if known {
                    Check::AlreadySo
                } else {
                    Check::WouldChange(format!("systemd's state of it: {}", state.load))
                })
            }
            Action::StopUnit { unit, scratch } => leftovers::check_unit(unit, scratch).await,
            Action::StopContainer(stop) => remove::check(stop).await,
            Action::StopLeftovers { units, scratch } => leftovers::check(units, scratch).await,
            Action::EnsureRunning(wanted) => ensure_running::check(wanted).await,
            Action::AwaitHealth(wanted) => gate::check(wanted).await,
            Action::AwaitAddresses { addresses, .. } => reach::check(addresses).await,
            Action::DiscardUnfinished { release, record } => releases::check_unfinished(release, record),
            Action::SetAside(one) => aside::check_set(one),
            Action::BringBack(one) => aside::check_back(one),
            Action::ArrangeRetry { unit, .. } => retry::check_arranged(unit).await,
            Action::CancelRetry { unit, timer } => retry::check_cancelled(unit, timer).await,
            Action::PruneReleases(prune) => releases::check_prune(prune),
            Action::PruneRuntimes(prune) => runtimes::check_prune(prune),
            Action::Signal(signal) => autoscaling::check(&signal.at),
            Action::SignalStack(signal) => evidence::check(signal),
            Action::PutEvidence(_) => Ok(Check::WouldChange("written by this run".to_owned())),
            Action::StartRefresh(_) | Action::CancelRefresh(_) => {
                Ok(Check::WouldChange("asked for".to_owned()))
            }
            Action::PutObject(_) | Action::PutBundle(_) | Action::StoreRelease(_) => {
                Ok(Check::WouldChange("written by this run".to_owned()))
            }
            Action::BoundCache(bound) => {
                let bound = bound.clone();
                blocking(move || cache::check(&bound)).await
            }
        }
    }
}

/// How long to wait for IMDS if the firmware names another maker than EC2.
const NOT_EC2_WAIT: Seconds = Seconds(5);

fn not_ec2(maker: &str, error: &Error) -> Error {
    let cause = format!("this machine is not an EC2 instance ({maker})");
    Error::new(Code::NotEc2, "reading instance metadata", cause).because(error.cause())
}
