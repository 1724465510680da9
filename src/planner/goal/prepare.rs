//! The goal of an instance on its way into a warm pool: its release is built, and nothing is started. No secret is written
//! to the machine, whose memory or disk may be kept for days. The boot that leaves the pool finds the release complete.

use crate::error::Result;
use crate::fault::Phase;
use crate::plan::{Action, Goal, Plan, Step};
use crate::planner::draft::Draft;
use crate::planner::steps::Steps;
use crate::planner::{
    accounts, ahead, build, compared, finished, fleet, hooks, image, imds, remember, signal, site, watch,
};
use crate::secret::Redaction;

pub fn prepare(draft: &Draft) -> Result<Plan> {
    let wanted = draft.wanted;
    let mut steps = release(draft)?;
    watch::watch(&mut steps, draft, "finish")?;
    signal::pool(&mut steps, wanted);
    let recover = give_up(draft);
    Ok(Plan {
        keepalive: signal::keepalive(wanted),
        report: fleet::report(wanted),
        ..whole(draft, steps, recover)
    })
}

/// The steps up to the complete release.
pub fn release(draft: &Draft) -> Result<Steps> {
    let wanted = draft.wanted;
    let mut steps = Steps::default();
    ahead::begin(&mut steps, wanted.facts, wanted.selection)?;
    accounts::create(&mut steps, draft);
    draft.service.own(&mut steps, &draft.layout);
    imds::let_service_through(&mut steps, wanted.facts, wanted.selection)?;
    build::build(&mut steps, draft)?;
    build::link(&mut steps, draft);
    site::publish(&mut steps, draft);
    image::prepare(&mut steps, draft)?;
    draft.service.install(&mut steps);
    draft.service.evaluate(&mut steps);
    build::finish(&mut steps, draft);
    Ok(steps)
}

/// A plan that starts nothing: of these steps, with this recovery.
pub fn whole(draft: &Draft, steps: Steps, recover: Vec<Step>) -> Plan {
    let wanted = draft.wanted;
    Plan {
        goal: if wanted.selection.bakes { Goal::Bake } else { Goal::Prepare },
        service: wanted.selection.service.clone(),
        environment: wanted.selection.environment.clone(),
        commit: wanted.source.commit.clone(),
        unit: draft.layout.unit(),
        origin: wanted.source.copy.clone(),
        settings: draft.settings(),
        notes: draft.notes.clone(),
        steps: steps.finish(),
        keepalive: None,
        report: None,
        migration_is_reversible: None,
        rebuild: Vec::new(),
        recover,
        after_failure: hooks::after_failure(draft),
        room: remember::make_room(draft),
        former: None,
        only_on_an_instance: Vec::new(),
        deployment: compared::deployment(draft),
        budget: wanted.selection.budget,
        redaction: Redaction::new(draft.confidential.iter()),
    }
}

/// Removes an incomplete release, and gives the instance up: the group launches another one into its pool.
fn give_up(draft: &Draft) -> Vec<Step> {
    let mut steps = discard(draft);
    signal::give_up(&mut steps, draft.wanted);
    steps.finish()
}

/// Removes an incomplete release.
pub fn discard(draft: &Draft) -> Steps {
    let mut steps = Steps::default();
    let release = draft.release().to_owned();
    let record = finished::record(&release, &draft.layout);
    let discard = Action::DiscardUnfinished { release, record };
    steps.add("discard", "an incomplete release cannot be used", discard).within(Phase::Tidy);
    steps
}
