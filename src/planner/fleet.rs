//! What a plan has to do with the fleet memory: the record of a good commit, the lock of a migration, where the run's report
//! goes, and whether a commit that fails gives the instance up.

use super::Wanted;
use super::draft::Draft;
use super::records::{good, text};
use super::steps::Steps;
use crate::error::{Code, ErrorReport, Result};
use crate::facts::{Commit, Facts, FleetFailure, FleetGood, S3Object, Source, records};
use crate::fault::Phase;
use crate::observe::{OnFailure, Selection};
use crate::plan::{Action, FleetAccess, MigrationLock, PutBundle, PutObject};

/// Adds the record that the commit is good, unless this instance was healthy with it before: a reboot of an old instance must
/// not make its commit the newest good one.
pub fn remember_good(steps: &mut Steps, draft: &Draft) -> Result<()> {
    let wanted = draft.wanted;
    let commit = &wanted.source.commit;
    let (Some(memory), Some(instance)) = (wanted.selection.fleet_memory(), &wanted.facts.instance) else {
        return Ok(());
    };
    let known = wanted.facts.fleet.good.as_ref();
    let was_good_here = good(wanted).is_some_and(|good| good.generation.commit == *commit);
    if was_good_here || known.is_some_and(|known| known.commit == *commit) {
        return Ok(());
    }
    let record = FleetGood {
        schema: records::SCHEMA,
        commit: commit.clone(),
        instance: instance.id.clone(),
        before: known.map(|known| known.commit.clone()),
    };
    let access = access(wanted.facts, wanted.selection);
    let put = PutObject { at: memory.good(), text: text(&record)?, access };
    let why = "the commit that a rollout or another instance of the group can go back to";
    steps
        .add("fleet-good", why, Action::PutObject(put))
        .after(&["good"])
        .within(Phase::FleetWrite)
        .optional();
    Ok(())
}

/// Adds the bundle of the commit, if the policy says so and this instance has fetched it from the git server.
pub fn put_bundle(steps: &mut Steps, draft: &Draft) {
    let wanted = draft.wanted;
    let Wanted { source, selection, facts, .. } = wanted;
    let was_good_here = good(wanted).is_some_and(|good| good.generation.commit == source.commit);
    let is_wanted = selection.copies.writes_bundles() && source.copy.is_none() && !source.is_manifest;
    let memory = selection.fleet_memory().filter(|_| is_wanted && !was_good_here && facts.instance.is_some());
    let Some(memory) = memory else { return };
    let put = PutBundle {
        at: memory.bundle(&source.commit),
        commit: source.commit.clone(),
        branch: source.branch.clone(),
        unit: draft.layout.transient("bundle"),
        access: access(facts, selection),
    };
    let why = "other instances read the commit there while the git server cannot be reached";
    steps
        .add("fleet-bundle", why, Action::PutBundle(put))
        .after(&["good"])
        .within(Phase::Transfer)
        .optional();
}

/// Of a commit that was read from a copy of its repository: which one, and how old it was.
pub fn copy_note(source: &Source) -> Option<String> {
    let copy = source.copy.as_ref()?;
    let commit = source.commit.short();
    Some(format!("the git server could not be reached when commit {commit} was fetched: it is from {copy}"))
}

/// The lock that the migration needs. Only on an instance: a laptop is not in the group.
pub fn migration_lock(wanted: &Wanted) -> Option<MigrationLock> {
    let (memory, instance) = (wanted.selection.fleet_memory()?, wanted.facts.instance.as_ref()?);
    Some(MigrationLock {
        at: memory.migration(&wanted.source.commit),
        instance: instance.id.clone(),
        access: access(wanted.facts, wanted.selection),
    })
}

/// Where the run's report goes.
pub fn report(wanted: &Wanted) -> Option<S3Object> {
    Some(wanted.selection.fleet_memory()?.report(&wanted.facts.instance.as_ref()?.id))
}

/// Whether a commit that fails gives the instance up. With `last-good`, it does if that commit cannot be deployed either.
pub fn abandons(selection: &Selection) -> bool {
    selection.fleet.on_failure != OnFailure::Hold
}

/// Notes for an operator.
pub fn notes(wanted: &Wanted) -> Vec<String> {
    let commit = &wanted.source.commit;
    let fallback = match (wanted.selection.fleet.on_failure, &wanted.facts.fleet.good) {
        (OnFailure::LastGood, Some(good)) if good.commit != *commit => format!(
            "if commit {} fails and nothing served here before, commit {} is deployed, the last good one of the group",
            commit.short(),
            good.commit.short()
        ),
        (OnFailure::LastGood, None) => {
            "no commit was good in the group yet: if this one fails, there is none to deploy in its place"
                .to_owned()
        }
        _ => return Vec::new(),
    };
    vec![fallback]
}

pub(super) fn access(facts: &Facts, selection: &Selection) -> FleetAccess {
    let region = facts.instance.as_ref().map(|instance| instance.region.clone());
    FleetAccess { region, network: selection.network.clone() }
}

/// The record that a commit failed on this instance, if the commit may be the cause.
pub fn failure(
    facts: &Facts,
    selection: &Selection,
    commit: &Commit,
    error: ErrorReport,
) -> Result<Option<Action>> {
    let (Some(memory), Some(instance)) = (selection.fleet_memory(), &facts.instance) else { return Ok(None) };
    let error = ErrorReport { output: Vec::new(), ..error };
    let id = instance.id.clone();
    let at = memory.failure(commit, &id);
    let record = FleetFailure { schema: records::SCHEMA, commit: commit.clone(), instance: id, error };
    let put = PutObject { at, text: text(&record)?, access: access(facts, selection) };
    Ok(Some(Action::PutObject(put)))
}

/// Whether a commit may be the cause of an error after the plan was made: its build, its migration or its program. An
/// unreachable registry or a full disk is not.
pub fn may_be_caused_by_commit(code: Code) -> bool {
    matches!(
        code,
        Code::InstallFailed
            | Code::StepDeadline
            | Code::OutOfMemory
            | Code::PackageMissing
            | Code::PackageAltered
            | Code::LockfileStale
            | Code::RuntimeMissing
            | Code::ImageBuildFailed
            | Code::ImageMissing
            | Code::EcosystemInvalid
            | Code::EcosystemRefused
            | Code::SiteMissing
            | Code::SiteSecret
            | Code::MigrateFailed
            | Code::UnitFailed
            | Code::ServiceExited
            | Code::HealthNoListener
            | Code::HealthBadAnswer
            | Code::HealthFlapping
            | Code::FleetFailing
    )
}
