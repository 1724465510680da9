//! Carries out actions on this machine. Only dispatches to the modules that do the work.

use super::LocalHost;
use crate::error::Result;
use crate::machine::aws::{self, autoscaling, evidence, groups};
use crate::machine::container::{engine, images, remove};
use crate::machine::disk::{files, room};
use crate::machine::fleet;
use crate::machine::install::{
    aside, bundle, cache, evaluate, given, packages, releases, runtimes, site, tools, work,
};
use crate::machine::jail::imds_rules;
use crate::machine::process::{units, users};
use crate::machine::release_cache;
use crate::machine::service::{data_host, ensure_running, gate, hooks, leftovers, reach, retry};
use crate::machine::upkeep::{journal, labels, swap};
use crate::machine::volume;
use crate::machine::{Change, Check, Context, Host, Observe, blocking};
use crate::plan::{Action, Keepalive};

impl Host for LocalHost {
    async fn act(&self, action: &Action, context: &Context<'_>) -> Result<Change> {
        self.carry_out(action, context).await.map_err(|error| room::located(error, &action.writes()))
    }

    async fn keep_alive(&self, keepalive: &Keepalive) -> Result<()> {
        autoscaling::heartbeat(self.imds(), keepalive).await
    }

    fn remember(&self) -> Result<()> {
        self.versions().write()?;
        aws::remember_certificates()
    }
}

impl LocalHost {
    async fn carry_out(&self, action: &Action, context: &Context<'_>) -> Result<Change> {
        // No check before these: the first two check while they act, and a proof changes nothing.
        match action {
            Action::AwaitHealth(wanted) => return gate::pass(wanted).await,
            Action::AwaitAddresses { addresses, within } => return reach::wait(addresses, *within).await,
            Action::EnsureRunning(wanted) => {
                begins(context);
                return ensure_running::hand_over(wanted).await;
            }
            Action::ProveImdsRules { unit } => return imds_rules::prove(unit).await,
            _ => {}
        }
        let Check::WouldChange(was) = self.check(action).await? else { return Ok(Change::Unchanged) };
        begins(context);
        match action {
            Action::CreateUser { name, description, home } => {
                return users::create(name, description, home).await;
            }
            Action::MakeDirectory { path, owner, mode } => files::directory(path, owner, *mode)?,
            Action::WriteFile { path, content, owner, mode } => {
                if !context.takes_back {
                    room::for_a_switch(path)?;
                }
                files::write(path, content.expose().as_bytes(), owner, *mode)?
            }
            Action::RemoveFile { path } => files::remove_file(path)?,
            Action::InstallAgent { path } => releases::install_agent(path)?,
            Action::RestoreRelease(cached) => return release_cache::restore(self.imds(), cached).await,
            Action::StoreRelease(cached) => return release_cache::store(self.imds(), cached).await,
            Action::RestorePackages(cached) => {
                return release_cache::packages::restore(self.imds(), cached).await;
            }
            Action::StorePackages(cached) => {
                return release_cache::packages::store(self.imds(), cached).await;
            }
            Action::CheckOut(checkout) => work::check_out(checkout, context).await?,
            Action::LoadImdsRules(rules) => imds_rules::load(rules).await?,
            Action::InstallPackages(wanted) => packages::install(wanted).await?,
            Action::MakeSwap(wanted) => swap::make(wanted).await?,
            Action::LimitJournal(wanted) => journal::limit(wanted).await?,
            Action::RestoreLabels(wanted) => labels::restore(wanted).await?,
            Action::InstallRuntime(install) => runtimes::install(install).await?,
            Action::InstallTool(tool) => tools::install(tool).await?,
            Action::Evaluate(evaluation) => evaluate::evaluate(evaluation).await?,
            Action::RunCommand(command) => {
                let how = work::run(command, context).await?;
                return Ok(Change::Changed(how.unwrap_or(was)));
            }
            Action::RunHooks(wanted) => hooks::run(wanted).await?,
            Action::ConfigureEngine(wanted) => engine::configure(wanted).await?,
            Action::PrepareImage(image) => images::prepare(image, self.imds()).await?,
            Action::PruneImages(prune) => images::remove(prune).await?,
            Action::GiveToService(give) => {
                let give = give.clone();
                blocking(move || given::to_service(&give)).await?;
            }
            Action::PublishSite(site) => {
                let site = site.clone();
                blocking(move || site::publish(&site)).await?;
            }
            Action::FinishRelease { release, record, uses } => {
                let (release, record, uses) = (release.clone(), record.clone(), uses.clone());
                blocking(move || releases::finish(&release, &record, &uses)).await?;
            }
            Action::Migrate(migration) => return fleet::migrate(self.imds(), migration).await,
            Action::InitializeData(data) => return data_host::initialize(data).await,
            Action::PrepareVolume(wanted) => return volume::prepare(wanted).await,
            Action::MountVolume(wanted) => return volume::mount(wanted).await,
            Action::SwitchSymlink { path, target, displaces } => files::link(path, target, *displaces)?,
            Action::ReloadUnit { .. } => units::daemon_reload().await?,
            Action::StopUnit { unit, scratch } => leftovers::stop_unit(unit, scratch).await?,
            Action::StopContainer(stop) => remove::remove(stop).await?,
            Action::StopLeftovers { units, scratch } => leftovers::clear(units, scratch).await?,
            Action::DiscardUnfinished { release, record } => {
                let (release, record) = (release.clone(), record.clone());
                blocking(move || releases::discard(&release, &[record])).await?;
            }
            Action::SetAside(one) => {
                let one = one.clone();
                blocking(move || aside::set(&one)).await?;
            }
            Action::BringBack(one) => {
                let one = one.clone();
                blocking(move || aside::bring_back(&one)).await?;
            }
            Action::ArrangeRetry { unit, timer, after } => retry::arrange(unit, timer, *after).await?,
            Action::CancelRetry { unit, timer } => retry::cancel(unit, timer).await?,
            Action::PruneReleases(prune) => {
                let prune = prune.clone();
                blocking(move || releases::prune(&prune)).await?;
            }
            Action::PruneRuntimes(prune) => {
                let prune = prune.clone();
                blocking(move || runtimes::prune(&prune)).await?;
            }
            Action::BoundCache(bound) => {
                let bound = bound.clone();
                blocking(move || cache::empty(&bound)).await?;
            }
            Action::Signal(signal) => return autoscaling::complete(self.imds(), signal).await,
            Action::SignalStack(signal) => return evidence::signal(self.imds(), signal).await,
            Action::PutEvidence(put) => evidence::put(self.imds(), put).await?,
            Action::StartRefresh(start) => return groups::start(self.imds(), start).await,
            Action::CancelRefresh(cancel) => return groups::cancel(self.imds(), cancel).await,
            Action::PutBundle(put) => return bundle::put(self.imds(), put, context).await,
            Action::PutObject(put) => fleet::put(self.imds(), put).await?,
            Action::AwaitHealth(_)
            | Action::AwaitAddresses { .. }
            | Action::EnsureRunning(_)
            | Action::ProveImdsRules { .. } => {}
        }
        Ok(Change::Changed(was))
    }
}

/// Says that the machine changes from here on.
fn begins(context: &Context<'_>) {
    if let Some(before) = context.before {
        before();
    }
}
