//! The goal of a boot and of an update: the commit is built, switched to, started, and serves.

use crate::error::Result;
use crate::plan::{Goal, Plan};
use crate::planner::draft::Draft;
use crate::planner::steps::Steps;
use crate::planner::{
    accounts, ahead, build, cache, candidate, compared, data_host, environment, evidence, fleet,
    goes_back_to, hooks, image, imds, migrate, recover, remember, signal, site, start, upkeep, volume,
    wait_for, watch,
};
use crate::secret::Redaction;

pub fn serve(draft: &Draft) -> Result<Plan> {
    let wanted = draft.wanted;
    let candidate = candidate::due(draft);

    let mut steps = Steps::default();
    ahead::begin(&mut steps, wanted.facts, wanted.selection)?;
    accounts::create(&mut steps, draft);
    let mut homes = draft.service.own(&mut steps, &draft.layout);
    homes.extend(image::volumes(&mut steps, draft));
    imds::let_service_through(&mut steps, wanted.facts, wanted.selection)?;
    build::build(&mut steps, draft)?;
    volume::mount(&mut steps, draft);
    build::link(&mut steps, draft);
    site::publish(&mut steps, draft);
    image::prepare(&mut steps, draft)?;
    draft.service.install(&mut steps);
    draft.service.evaluate(&mut steps);
    upkeep::labels(&mut steps, draft);
    build::finish(&mut steps, draft);
    wait_for::wait(&mut steps, draft);
    migrate::migrate(&mut steps, draft)?;
    if let Some(port) = candidate {
        candidate::prove(&mut steps, draft, port)?;
    }
    data_host::initialize(&mut steps, draft);
    hooks::before_start(&mut steps, draft);
    environment::write_serving(&mut steps, draft);
    start::start(&mut steps, draft, homes)?;
    if candidate.is_some() && candidate::answers_for_the_service(draft) {
        candidate::end(&mut steps, "candidate-end", &draft.layout).after(&["health-check"]);
    }
    remember::remember(&mut steps, draft)?;
    fleet::remember_good(&mut steps, draft)?;
    fleet::put_bundle(&mut steps, draft);
    cache::store(&mut steps, draft);
    remember::prune_unused(&mut steps, draft);
    image::prune(&mut steps, draft);
    watch::watch(&mut steps, draft, "good")?;
    hooks::after_healthy(&mut steps, draft);
    evidence::proceed(&mut steps, wanted);
    signal::proceed(&mut steps, wanted);

    Ok(Plan {
        goal: Goal::Serve,
        service: wanted.selection.service.clone(),
        environment: wanted.selection.environment.clone(),
        commit: wanted.source.commit.clone(),
        unit: draft.layout.unit(),
        origin: wanted.source.copy.clone(),
        settings: draft.settings(),
        notes: draft.notes.iter().cloned().chain(upkeep::selinux_note(draft)).collect(),
        steps: steps.finish(),
        keepalive: signal::keepalive(wanted),
        report: fleet::report(wanted),
        migration_is_reversible: migrate::is_reversible(draft),
        rebuild: recover::rebuild(draft),
        recover: recover::recover(draft, candidate.is_some()),
        after_failure: hooks::after_failure(draft),
        room: remember::make_room(draft),
        former: goes_back_to(wanted).cloned(),
        only_on_an_instance: ahead::only_on_an_instance(wanted)?,
        deployment: compared::deployment(draft),
        budget: wanted.selection.budget,
        redaction: Redaction::new(draft.confidential.iter()),
    })
}
