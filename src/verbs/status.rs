//! `bootagent status`: shows what serves now and how the last run ended. Changes nothing.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::boot;
use crate::cli::{self, Output, StatusArgs};
use crate::error::{Code, Error, Result};
use crate::facts::{Agent, Asked, Source, Watched};
use crate::machine::{self, LocalHost, Observe};
use crate::observe::{self, Flags};
use crate::plan::{Seconds, layout};
use crate::report::status::{State, Status};
use crate::report::view::{self, Newer, Pinned, Seen, Timings, View};
use crate::report::{self, Progress, Report, StatusLine, print, status_text};

/// The exit statuses, documented in docs/reference/status.md.
const IN_SERVICE: u8 = 0;
const FAILED: u8 = 1;
const NOT_YET: u8 = 3;
pub const DEGRADED: u8 = 4;

pub async fn status(args: &StatusArgs) -> u8 {
    match read(args).await {
        Ok(view) if args.timings => match timings(&view, args.svg).await.and_then(|text| print(&text)) {
            Ok(()) => exit(&view, args),
            Err(error) => super::print_error(&error),
        },
        Ok(view) => {
            let printed = match args.output {
                Output::Text => print(&text(&view, args.steps)),
                Output::Json => json(&view).and_then(|text| print(&text)),
            };
            printed.map_or_else(|error| super::print_error(&error), |()| exit(&view, args))
        }
        Err(error) => super::print_error(&error),
    }
}

fn json(view: &View) -> Result<String> {
    serde_json::to_string_pretty(view)
        .map(|text| text + "\n")
        .map_err(|error| Error::new(Code::Bug, "printing the status", error))
}

/// The timeline of the last run.
async fn timings(view: &View, as_svg: bool) -> Result<String> {
    let none = |cause: &str| {
        let error = Error::new(Code::Io, "reading the times of the last run", cause);
        error.remedy("bootagent run makes a new record")
    };
    let run = view.last_run.as_ref().ok_or_else(|| none("there was no run in this boot"))?;
    let boot = machine::boot_times().await?;
    let timings = Timings::of(run, boot.as_ref()).ok_or_else(|| none("its record has no times"))?;
    Ok(if as_svg { timings.svg() } else { timings.text() })
}

async fn read(args: &StatusArgs) -> Result<View> {
    let machine = LocalHost::observer();
    let until = Instant::now() + args.timeout.duration();
    let mut living = cli::stderr_can_rewrite_lines().then(StatusLine::default);
    // Waits by the run's record, and probes the service only at the end: it may be starting.
    while args.wait && Instant::now() < until {
        let (agent, mut record) = last_run(&machine).await?;
        if let Some(run) = &mut record {
            end_if_orphaned(run, agent);
        }
        if record.is_some() && !view::goes_on(record.as_ref(), agent) {
            break;
        }
        if let Some(living) = &mut living {
            living.show(&progress(record.as_ref()));
        }
        sleep(Duration::from_millis(300)).await;
    }
    drop(living);
    let view = once(&machine).await?;
    let newer = if args.remote { Some(newer(&machine, view.pinned.as_ref()).await) } else { None };
    Ok(View { newer, watched: watched(&machine).await, ..view })
}

async fn once(machine: &LocalHost) -> Result<View> {
    let (agent, mut record) = last_run(machine).await?;
    if let Some(run) = &mut record {
        end_if_orphaned(run, agent);
    }
    let asked = match &record {
        Some(run) => Asked {
            service: run.service.clone(),
            instance: run.instance.as_ref().map(|instance| instance.id.clone()),
            gate: run.gate.clone(),
        },
        None => Asked::default(),
    };
    let present = boot::present(machine, &asked, !matches!(agent, Agent::Lives(_))).await?;
    let recorded = present.as_ref().and_then(|present| present.good.as_ref()?.instance.clone());
    let pinned = pinned(machine, asked.instance.or(recorded)).await;
    Ok(View::of(Seen { record, agent, present, pinned, now: machine::now() }))
}

/// The process that has the run's lock, and the record of the last run. They cannot be read at once: a run that begins
/// or ends in between would look as if bootagent had been killed, so in that case both are read again.
async fn last_run(machine: &LocalHost) -> Result<(Agent, Option<Status>)> {
    const READS: usize = 3;
    let mut reads = 1;
    loop {
        let agent = machine::agent();
        let record = report::read(machine).await?;
        let booting = record.as_ref().filter(|run| run.state == State::Booting);
        let agree = booting.is_none_or(|run| agent == Agent::Lives(run.pid));
        if agree || reads == READS {
            return Ok((agent, record));
        }
        reads += 1;
        sleep(Duration::from_millis(20)).await;
    }
}

/// Marks a run as failed if its process no longer exists.
fn end_if_orphaned(run: &mut Status, agent: Agent) {
    let lives = machine::started(run.pid).is_some_and(|ticks| ticks == run.pid_started);
    if let Some(why) = run.is_orphaned(&machine::boot_id(), agent, lives, machine::now()) {
        run.end_orphaned(Error::new(Code::AgentDied, "booting", why));
    }
}

/// The pinned commit; only root can read it. If its record is broken, the next run reports that, and the rest of the
/// status is shown without it.
async fn pinned(machine: &LocalHost, instance: Option<String>) -> Option<Pinned> {
    if !machine.is_root() {
        return None;
    }
    let decided = observe::decided(machine, &layout::decision(&instance?)).await.ok()??;
    let source = decided.source;
    let Source { commit, branch, repository, is_manifest, .. } = source;
    Some(Pinned { commit, branch, repository, is_manifest })
}

/// What the watcher has seen; only root can read it.
async fn watched(machine: &LocalHost) -> Option<Watched> {
    let text = machine.text(Path::new(layout::WATCH_STATE)).await.ok()??;
    serde_json::from_str(&text).ok()
}

/// Whether the branch has a newer commit, read with the credentials that a run would use, but with short time limits. A
/// git server that does not answer does not change the state of the service.
async fn newer(machine: &LocalHost, pinned: Option<&Pinned>) -> Newer {
    const PATIENCE: Seconds = Seconds(30);
    const METADATA: Seconds = Seconds(5);
    let Some(pinned) = pinned else {
        let cause = "no commit is pinned yet, or only root can see which";
        return Newer::Unknown(Error::new(Code::Usage, "reading the branch's newest commit", cause).report());
    };
    let mut flags = Flags { dry_run: true, ..Flags::default() };
    flags.policy.budget = Some(PATIENCE);
    flags.policy.imds.wait = Some(METADATA);
    let report = Report::new(Progress::Silent, machine::run_id());
    match Box::pin(boot::newest(machine, &flags, &report)).await {
        Ok(commit) if commit == pinned.commit => Newer::None,
        Ok(commit) => Newer::Commit(commit),
        Err(error) => Newer::Unknown(error.in_public().report()),
    }
}

/// What the run does now: the same text as on the run's own terminal.
fn progress(run: Option<&Status>) -> String {
    let Some(run) = run else { return "waiting for a run".to_owned() };
    let service = run.service.as_ref().map_or("?", |service| service.as_str());
    let waiting = status_text(&run.waiting, machine::now()).unwrap_or_default();
    format!("{service}: {}: {waiting}", run.state.name())
}

fn exit(view: &View, args: &StatusArgs) -> u8 {
    match view.state {
        // --wait, and the run did not end within --timeout.
        _ if args.wait && view.is_pending => NOT_YET,
        State::Healthy | State::Updating => IN_SERVICE,
        State::Warnings if args.strict => DEGRADED,
        State::Warnings | State::Prepared => IN_SERVICE,
        State::Degraded => DEGRADED,
        State::Failed => FAILED,
        State::NotStarted | State::Booting => NOT_YET,
    }
}

fn text(view: &View, steps: bool) -> String {
    if view.state == State::NotStarted && view.service.is_none() {
        return "not started: no run in this boot yet\n".to_owned();
    }
    let steps = view.last_run.as_ref().filter(|_| steps).map(view::steps);
    view::text(view) + &steps.unwrap_or_default()
}
