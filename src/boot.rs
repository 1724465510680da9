//! Read this first: the whole of a run, in order.
//!
//! Observe what is and what is wanted; make a plan of it; then either show the plan or carry it out,
//! and report. A dry run and a real run share everything up to the plan.

mod environment;
mod fallback;
mod identify;
mod memory;
mod present;
mod preview;
mod questions;
mod rebuild;
mod records;
mod retry;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use crate::apply::{self, Limit};
use crate::error::{Error, Result};
use crate::facts::{self, Facts, Generation, Source};
use crate::machine::{self, Health, Host, Look, Observe, Scratch};
use crate::observe::manifest::Manifest;
use crate::observe::secrets::Variables;
use crate::observe::{self, Flags, Policy, Selection};
use crate::plan::{Action, Compared, Mark, Plan, Rendering, Seconds, Setting, layout};
use crate::planner::{self, Unmet, Wanted};
use crate::report::Report;
pub use environment::{Environment, environment};
use fallback::Known;
pub use identify::Identified;
use identify::{arrive, choose, identify, keep};
pub use preview::{Prepared, prepare};
use questions::Questions;

pub use present::{newest, present};

/// A plan, and the fetched objects that its checkout needs.
struct Planned {
    plan: Plan,
    scratch: Option<Scratch>,
    /// Whether it is about this machine, or about a recorded one.
    here: bool,
}

/// The policy, and how long it lets all that follows last.
async fn begin<'a>(
    machine: &impl Observe,
    flags: &Flags,
    stop: Pin<&mut impl Future<Output = &'static str>>,
    report: &'a Report,
) -> Result<(Policy, Limit<'a>)> {
    let started = Instant::now();
    let limit = |budget: Seconds| Limit { until: started + budget.duration(), budget, report };
    let policy = limit(flags.budget()).hold(stop, observe::policy(machine, flags)).await?;
    let budget = policy.budget().value;
    Ok((policy.within(budget.duration()), limit(budget)))
}

async fn plan(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    report: &Report,
) -> Result<Planned> {
    let Identified { selection, here, .. } = identified;
    let here = *here;
    let (service, scratch) = service(machine, flags, identified, report).await?;
    let good_environment = match here {
        true => observe::good_environment(machine, &layout::Layout::new(&selection.service)).await?,
        false => None,
    };
    let asking = Questions { machine, flags, identified, report };
    let (plan, scratch) = asking.plan(service, scratch, good_environment).await?;
    Ok(Planned { plan, scratch, here })
}

/// The planner reads what others wrote, package.json for one: beside the async thread.
pub async fn decide(
    facts: Facts,
    selection: Selection,
    service: Arc<Service>,
    good_environment: Option<Rendering>,
) -> Result<Plan, Unmet> {
    let plan = move || {
        Ok(planner::plan(&Wanted {
            facts: &facts,
            selection: &selection,
            source: &service.source,
            manifest: &service.manifest,
            manifest_from: &service.manifest_from,
            secret: service.secret.as_ref(),
            good_environment: good_environment.as_ref(),
        }))
    };
    machine::blocking(plan).await?
}

/// What the service is and needs, as far as others than this machine say it.
#[derive(Clone)]
pub struct Service {
    pub source: Source,
    pub manifest: Manifest,
    pub manifest_from: Setting,
    pub secret: Option<Variables>,
}

async fn service(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    report: &Report,
) -> Result<(Arc<Service>, Option<Scratch>)> {
    let Identified { policy, facts, selection, .. } = identified;
    let decided = identified.decided.as_ref().filter(|_| !flags.update);
    // A kept release is returned to without git: an outage of the git server may be the reason for the rollback.
    let kept = selection.pinned.as_ref().filter(|_| facts.instance.is_some());
    let kept = kept.and_then(|commit| planner::kept_of_commit(facts, selection, commit));
    let recorded = decided.map(|decided| &decided.source).or(kept.map(|kept| &kept.source));
    // The source and the secret are asked at once. Only the source's manifest tells whether there is a
    // secret at all: if not, nobody waits for it any longer.
    let mut fetching = pin!(async {
        match recorded {
            Some(source) => Ok((source.clone(), None)),
            None => fetch(machine, flags, identified, report).await,
        }
    });
    let reading = observe::secret_text(machine, selection, facts, flags, policy);
    let what = format!("reading the secret {}", selection.secret);
    let mut reading = pin!(report.during("secret", &what, reading));
    let mut read = None;
    let (source, scratch) = loop {
        tokio::select! {
            fetched = &mut fetching => break fetched?,
            text = &mut reading, if read.is_none() => read = Some(text),
        }
    };
    let (manifest, manifest_from) =
        observe::manifest(machine, selection, flags, &source, planner::runtime::tables()).await?;
    let secret = match (manifest.secret, read) {
        (false, _) => None,
        (true, Some(text)) => Some(observe::variables(selection, &manifest, &text?).await?),
        (true, None) => Some(observe::variables(selection, &manifest, &reading.await?).await?),
    };
    Ok((Arc::new(Service { source, manifest, manifest_from, secret }), scratch))
}

async fn fetch(
    machine: &impl Observe,
    flags: &Flags,
    identified: &Identified,
    report: &Report,
) -> Result<(Source, Option<Scratch>)> {
    let what =
        format!("fetching branch {} of {}", identified.selection.branch, identified.selection.repository);
    let fetched = report.during("fetch", &what, questions::fetched(machine, flags, identified, &[])).await?;
    Ok((fetched.source, fetched.scratch))
}

/// A decided commit is planned from its record; its objects are fetched again only if its release is
/// not whole on this machine.
async fn checkout_is_due(machine: &impl Observe, plan: &Plan) -> Result<bool> {
    for step in plan.steps.iter().filter(|step| matches!(step.action, Action::CheckOut(_))) {
        if machine.look(&step.action).await? != Look::AlreadySo {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Observe, plan, apply, report.
pub async fn run(machine: &impl Host, flags: &Flags, report: &Report) -> Result<()> {
    report.started();
    let running = async {
        let result = attempt(machine, flags, report).await;
        retry::settle(machine, flags, result.as_ref().err(), report).await;
        result
    };
    let result = report.accompany(running).await;
    match &result {
        Ok(()) => report.in_service(),
        Err(error) if error.code().is_before_a_run() => report.refused(error),
        Err(error) => report.failed(error),
    }
    result
}

async fn attempt(machine: &impl Host, flags: &Flags, report: &Report) -> Result<()> {
    let mut stop = pin!(machine::shutdown_signal());
    let mut known = Known::at_first(flags);
    let ahead = plan_ahead(machine, flags, stop.as_mut(), &mut known, report).await;
    let (identified, planned, limit) = match ahead {
        Ok(made) => made,
        Err(error) => {
            let error = error.in_public();
            report.first_error(&error);
            if !error.code().is_before_a_run() {
                fallback::without_a_plan(machine, &known, &error, report).await;
            }
            return Err(error);
        }
    };
    let plan = &planned.plan;
    report.planned(plan);
    memory::recall(machine, flags, plan, report).await.inspect_err(|error| report.first_error(error))?;

    let carrying_out = carry_out(machine, flags, &identified, &planned, report);
    let result = limit.hold(stop.as_mut(), carrying_out).await;
    let of = (flags, &identified);
    let result = rebuild::once_more(machine, of, plan, result, (&limit, stop.as_mut()), report).await;
    let result = result.map_err(|error| memory::explained(error, plan, report));
    match &result {
        Ok(()) => memory::forget(machine, plan).await,
        Err(error) => go_back(machine, plan, error, report).await,
    }
    result
}

/// A service that passed its gate is good, whatever failed after it.
async fn go_back(machine: &impl Host, plan: &Plan, error: &Error, report: &Report) {
    report.first_error(error);
    if report.has_passed() {
        return;
    }
    memory::note(machine, plan, error, report).await;
    match &plan.former {
        // It is what ran before, nothing was changed, and its health check was waited for just now.
        Some(former) if plan.deployment.is == Compared::Same && report.was_unchanged(Mark::Started) => {
            report.may_not_serve(former, &error.report().causes.join(": "));
        }
        former => {
            apply::recover(machine, &plan.recover, plan.budget, report).await;
            report.recovered(former.as_ref());
            present::after_recovery(machine, report).await;
        }
    }
}

async fn plan_ahead<'a>(
    machine: &impl Host,
    flags: &Flags,
    mut stop: Pin<&mut impl Future<Output = &'static str>>,
    known: &mut Known,
    report: &'a Report,
) -> Result<(Identified, Planned, Limit<'a>)> {
    let (policy, limit) = begin(machine, flags, stop.as_mut(), report).await?;
    (known.budget, known.network) = (limit.budget, policy.network());
    let arrived = limit.hold(stop.as_mut(), arrive(machine, flags, policy, report)).await;
    known.instance = report.known_instance();
    let arrived = arrived?;

    // From here on a later try goes on with it, whatever else fails.
    let keep = keep(&arrived.facts, &arrived.policy)?;
    let ahead = planner::before_the_tags(&arrived.facts, keep.as_ref());
    limit.hold(stop.as_mut(), apply::ahead(machine, &ahead, report)).await?;

    let identified = limit.hold(stop.as_mut(), choose(machine, flags, arrived, report)).await?;
    let ahead = planner::ahead(&identified.facts, &identified.selection)?;
    limit.hold(stop.as_mut(), apply::ahead(machine, &ahead, report)).await?;

    let planned = limit.hold(stop.as_mut(), plan(machine, flags, &identified, report)).await?;
    Ok((identified, planned, limit))
}

/// What is fetched only now is not needed to plan. Should it not be had, there is a plan to go back by.
async fn carry_out(
    machine: &impl Host,
    flags: &Flags,
    identified: &Identified,
    planned: &Planned,
    report: &Report,
) -> Result<()> {
    let plan = &planned.plan;
    let fetched = match planned.scratch {
        None if checkout_is_due(machine, plan).await? => {
            let fetched = fetch(machine, flags, identified, report).await;
            fetched.map_err(|error| error.redacted(&plan.redaction))?.1
        }
        _ => None,
    };
    apply::apply(machine, plan, planned.scratch.as_ref().or(fetched.as_ref()), report).await
}

/// A good answer is this generation's only if what runs was started from it, in this boot.
async fn serves(machine: &impl Observe, service: &facts::Service, generation: &Generation) -> Result<Health> {
    match running(machine, service, generation).await? {
        Some(how) => Ok(Health::Unwell(how)),
        None => machine.probe(&generation.gate).await,
    }
}

/// In what the machine differs from one that runs this generation.
async fn running(
    machine: &impl Observe,
    service: &facts::Service,
    generation: &Generation,
) -> Result<Option<String>> {
    for action in planner::running(service, generation) {
        if let Look::WouldChange(how) = machine.look(&action).await? {
            return Ok(Some(how));
        }
    }
    Ok(None)
}
