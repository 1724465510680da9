//! `bootagent rollout`: pins a commit for a service and environment, and replaces the instances of its group; follows that,
//! and goes back if it fails or if the operator says so.

use std::time::{Duration, Instant};

use crate::boot::rollout::{self, Rollout, Which};
use crate::cli::{self, RolloutArgs};
use crate::error::{Code, Error, Result};
use crate::facts::{Commit, Refresh};
use crate::machine::{LocalHost, ShutdownSignals};
use crate::report::tell;

const POLL: Duration = Duration::from_secs(5);
/// Longer than groups of hundreds of instances take. Then the rollout goes back.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// A refresh that is cancelled finishes the replacement of single instances first.
const CANCELLING: Duration = Duration::from_secs(900);
/// The exit status of a rollout that failed while the former commit serves again.
const WENT_BACK: u8 = 2;

pub async fn rollout(args: &RolloutArgs) -> u8 {
    match Box::pin(carry_out(args)).await {
        Ok(Ended::Done) => 0,
        Ok(Ended::WentBack) => WENT_BACK,
        Err(error) => super::print_error(&error),
    }
}

enum Ended {
    Done,
    WentBack,
}

async fn carry_out(args: &RolloutArgs) -> Result<Ended> {
    let machine = LocalHost::observer();
    let which = match (&args.commit, args.back) {
        (Some(commit), _) => Which::Named(commit.clone()),
        (None, true) => Which::Before,
        (None, false) => Which::Newest,
    };
    let rollout = rollout::prepare(&machine, &args.flags(), &which, args.group.as_deref()).await?;
    show(&rollout);
    if args.dry_run {
        return Ok(Ended::Done);
    }
    if !args.yes && cli::ask("roll it out?") != Some(true) {
        let cause = "it was not confirmed; --yes confirms it without a question";
        return Err(Error::new(Code::Usage, "rolling out", cause));
    }
    // From here on a signal leads back: a pinned commit and a refresh would go on without their rollout.
    let mut signals = ShutdownSignals::listen();
    rollout::pin(&machine, &rollout, &rollout.commit, rollout.present.as_ref()).await?;
    tell(format_args!("pinned: instances that are launched from now on take {}", rollout.commit.short()));
    if rollout.group.desired == 0 {
        return Ok(Ended::Done);
    }
    let id = match rollout::start(&machine, &rollout).await {
        Ok(id) => id,
        Err(error) => {
            unpin(&machine, &rollout).await;
            return Err(error);
        }
    };
    match follow(&machine, &rollout, &id, rollout.attempts as usize, &mut signals).await? {
        None => {
            tell(format_args!("done: {} runs commit {}", rollout.group.name, rollout.commit.short()));
            Ok(Ended::Done)
        }
        Some(why) => go_back(&machine, &rollout, &id, &why, &mut signals).await,
    }
}

fn show(rollout: &Rollout) {
    let Rollout { memory, commit, present, group, .. } = rollout;
    let present =
        present.as_ref().map_or("the branch's newest commit".to_owned(), |commit| commit.short().to_owned());
    tell(format_args!("{} ({}): {commit} in place of {present}", memory.service, memory.environment));
    tell(format_args!(
        "  group {}: {} of {} instances in service, health check {}, launch hook {}",
        group.name,
        group.in_service(),
        group.desired,
        group.health_check,
        group.hooks.join(", ")
    ));
    rollout.warnings.iter().for_each(|warning| tell(format_args!("  warning: {warning}")));
}

/// Until the refresh has ended: `None` if it is successful, else why the rollout goes back.
async fn follow(
    machine: &LocalHost,
    rollout: &Rollout,
    id: &str,
    attempts: usize,
    signals: &mut ShutdownSignals,
) -> Result<Option<String>> {
    let began = Instant::now();
    let mut last = String::new();
    let mut known: Vec<String> = Vec::new();
    while began.elapsed() < LONGEST {
        let refresh = rollout::state(machine, rollout, id).await?;
        let line = progress(&refresh);
        if line != last {
            tell(format_args!("{:5} s  {line}", began.elapsed().as_secs()));
            last = line;
        }
        if refresh.is_successful() {
            return Ok(None);
        }
        if !refresh.is_active() {
            return Ok(Some(format!("the instance refresh is {}: {}", refresh.status, refresh.reason)));
        }
        // Those that were known, if the listing fails this time.
        let failed = rollout::failures(machine, rollout, began.elapsed().as_secs() + 1).await;
        let failed = failed.unwrap_or_else(|_| known.clone());
        for instance in failed.iter().filter(|instance| !known.contains(instance)) {
            tell(format_args!("the commit failed on {instance}: bootagent why {instance} shows it"));
        }
        known = failed;
        if known.len() >= attempts {
            return Ok(Some(format!("the commit failed on {} instances", known.len())));
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            signal = signals.next() => {
                if cli::ask("stop the rollout and go back?") != Some(false) {
                    return Ok(Some(format!("{signal} was received")));
                }
            }
        }
    }
    Ok(Some(format!("the instance refresh is not done after {} h", LONGEST.as_secs() / 3600)))
}

fn progress(refresh: &Refresh) -> String {
    let reason = if refresh.reason.is_empty() { String::new() } else { format!(": {}", refresh.reason) };
    format!("{}, {} %, {} instances left{reason}", refresh.status, refresh.percentage, refresh.left)
}

/// Pins the former commit, and replaces the instances that run the new one.
async fn go_back(
    machine: &LocalHost,
    rollout: &Rollout,
    id: &str,
    why: &str,
    signals: &mut ShutdownSignals,
) -> Result<Ended> {
    let failed =
        |cause: String| Error::new(Code::RolloutFailed, "rolling out", cause).because(why.to_owned());
    tell(format_args!("going back: {why}"));
    let Some(former) = unpin(machine, rollout).await else {
        rollout::cancel(machine, rollout).await?;
        return Err(failed(
            "the refresh is cancelled, and the fleet memory knows no commit to go back to".to_owned(),
        ));
    };
    rollout::cancel(machine, rollout).await?;
    let until = Instant::now() + CANCELLING;
    let mut refresh = rollout::state(machine, rollout, id).await?;
    while refresh.is_active() && Instant::now() < until {
        tokio::time::sleep(POLL).await;
        refresh = rollout::state(machine, rollout, id).await?;
    }
    if refresh.is_active() {
        return Err(failed(format!(
            "{} is pinned, and the refresh is still {}",
            former.short(),
            refresh.status
        )));
    }
    // An instance counts only after its warm-up: the memory says whether one served with the new commit.
    let served = rollout::was_good(machine, rollout).await;
    if refresh.percentage == 0 && !served {
        tell(format_args!("no instance was replaced: commit {} serves on", former.short()));
        return Ok(Ended::WentBack);
    }
    // RollbackInstanceRefresh would restore the launch template, which is the same for both commits.
    let back = rollout::start(machine, rollout).await?;
    match follow(machine, rollout, &back, usize::MAX, signals).await? {
        None => {
            tell(format_args!("{} runs commit {} again", rollout.group.name, former.short()));
            Ok(Ended::WentBack)
        }
        Some(second) => Err(failed(format!("going back to {} failed, too: {second}", former.short()))),
    }
}

/// Pins the former commit again, if one is known.
async fn unpin(machine: &LocalHost, rollout: &Rollout) -> Option<Commit> {
    let former = rollout.present.as_ref().filter(|former| **former != rollout.commit)?;
    if let Err(error) = rollout::pin(machine, rollout, former, None).await {
        tell(error.in_public());
        return None;
    }
    tell(format_args!("pinned: {} again", former.short()));
    Some(former.clone())
}
