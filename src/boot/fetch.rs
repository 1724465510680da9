//! Fetches a commit: the names of its files, the text of the files that the planner reads, and the git objects for the
//! checkout.

use super::identify::Identified;
use super::origins::{Turn, first};
use crate::error::{Code, Error, Result};
use crate::facts::{Source, SourceCopy};
use crate::machine::{Check, Observe, Scratch, progress};
use crate::observe::{self, Fetched, Flags, MANIFEST, Selection, SourceOrigin};
use crate::plan::{Action, Plan};
use crate::planner;
use crate::report::Report;

pub async fn fetch(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    report: &Report,
) -> Result<(Source, Option<Scratch>)> {
    let Selection { branch, repository, is_manifest, .. } = &identified.selection;
    let what = match is_manifest {
        true => format!("reading {repository}"),
        false => format!("fetching branch {branch} of {repository}"),
    };
    let fetched = report.during("fetch", &what, fetched(machine, flags, identified, &[], None)).await?;
    Ok((fetched.source, fetched.scratch))
}

/// The image's release, if its commit is the branch's newest; otherwise what the branch has now. If the git server does not
/// answer within `origins.wait`, a copy may know; without one that is an error: another instance may run a newer commit.
pub async fn baked(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    source: &Source,
    report: &Report,
) -> Result<(Source, Option<Scratch>)> {
    let Identified { policy, facts, selection, .. } = identified;
    let what = format!("asking {} for the newest commit of {}", selection.repository, selection.branch);
    let origins = observe::source_origins(selection, facts);
    let is_last = origins.len() < 2;
    let patience = Turn { is_last }.patience(policy.patience(), selection.copies.wait);
    let asking = observe::tip_within(machine, (flags, policy), (selection, facts), patience);
    match report.during("fetch", &what, asking).await {
        Ok(tip) if tip == source.commit => Ok((source.clone(), None)),
        Ok(_) => fetch(machine, flags, identified, report).await,
        Err(error) if is_last || !SourceOrigin::Server.leads_on(&error) => Err(error),
        Err(error) => {
            let copies = origins.into_iter().skip(1).collect();
            let reading = fetched_from(machine, flags, identified, copies, &[]);
            let fetched = report.during("fetch", "reading a copy of the repository", reading).await;
            let fetched = fetched.map_err(|failed| error.because(failed.cause()))?;
            Ok((fetched.source, fetched.scratch))
        }
    }
}

/// Fetches the commit, with the text of the files that the planner always reads and of those in `more`. `before`: the copy from
/// which this commit was read already; its server would be asked in vain.
pub async fn fetched(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    more: &[String],
    before: Option<&SourceCopy>,
) -> Result<Fetched> {
    let Identified { facts, selection, .. } = identified;
    if selection.is_manifest {
        return Ok(Fetched { source: manifest_alone(identified)?, scratch: None });
    }
    let mut origins = observe::source_origins(selection, facts);
    if let Some(kind) =
        before.map(|copy| Some(copy.kind)).filter(|kind| origins.iter().any(|one| one.kind() == *kind))
    {
        let first = origins.iter().position(|one| one.kind() == kind).unwrap_or(0);
        origins.drain(..first);
    }
    fetched_from(machine, flags, identified, origins, more).await
}

async fn fetched_from(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    origins: Vec<SourceOrigin>,
    more: &[String],
) -> Result<Fetched> {
    let Identified { policy, facts, selection, .. } = identified;
    let mut evidence = planner::evidence();
    evidence.push(MANIFEST.to_owned());
    for path in more {
        if !evidence.contains(path) {
            evidence.push(path.clone());
        }
    }
    first(origins, SourceOrigin::leads_on, async |origin, turn| {
        if let Some(kind) = origin.kind() {
            progress::say(format!("reading it from {}", kind.name()));
        }
        let patience = turn.patience(policy.patience(), selection.copies.wait);
        let of = (selection, facts);
        observe::source_from(machine, origin, (flags, policy), of, evidence.clone(), patience).await
    })
    .await
}

/// The source of a service without a repository: the present manifest, or of a pinned one the recorded text.
fn manifest_alone(identified: &Identified) -> Result<Source> {
    let Identified { facts, selection, decided, .. } = identified;
    let doing = || format!("reading {}", selection.repository);
    let present = facts.own_manifest.as_ref();
    let present = present.map(|manifest| Source::of_manifest(manifest, selection.branch.clone()));
    let present = present.transpose().map_err(|error| Error::new(Code::Bug, doing(), error))?;
    let recorded = decided.as_ref().map(|decided| decided.source.clone()).filter(|source| source.is_manifest);
    let fits = |source: &Source| selection.pinned.as_ref().is_none_or(|pinned| pinned.fits(&source.commit));
    if let Some(source) = present.clone().into_iter().chain(recorded).find(fits) {
        return Ok(source);
    }
    let cause = match (present, &selection.pinned) {
        (Some(present), Some(pinned)) => {
            format!("its digest is {}, and {pinned} is asked for", present.commit.short())
        }
        _ => "there is no such file any more".to_owned(),
    };
    Err(Error::new(Code::CommitNotOnBranch, doing(), cause).remedy(
        "restore the text of that manifest, then: bootagent update; bootagent releases lists what is kept",
    ))
}

/// Whether the plan has a checkout to do. A pinned commit is planned from its record, and its git objects are fetched
/// only if its release is not complete on this machine.
pub async fn checkout_is_due(machine: &impl Observe, plan: &Plan) -> Result<bool> {
    for step in plan.steps.iter().filter(|step| matches!(step.action, Action::CheckOut(_))) {
        if machine.check(&step.action).await? != Check::AlreadySo {
            return Ok(true);
        }
    }
    Ok(false)
}
