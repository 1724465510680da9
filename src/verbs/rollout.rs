//! `bootagent rollout`: pins a commit for a service and environment, and replaces the instances of its group; follows that,
//! and goes back if it fails or if the operator says so.

use std::time::{Duration, Instant};

use crate::boot::rollout::{self, Rollout, Which};
use crate::cli::{self, RolloutArgs};
use crate::error::{Code, Error, Result};
use crate::facts::{Commit, FleetPin, Refresh, TargetHealth};
use crate::machine::retry::is_retried;
use crate::machine::{LocalHost, ShutdownSignals};
use crate::report::tell;

const POLL: Duration = Duration::from_secs(5);
/// Longer than groups of hundreds of instances take. Then the rollout goes back.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// A refresh that is cancelled finishes the replacement of single instances first.
const CANCELLING: Duration = Duration::from_secs(900);
/// How long Auto Scaling may not tell the refresh's state, after the retries of each call. Then the rollout goes back.
const UNANSWERED: Duration = Duration::from_secs(300);
/// How long the operator may think while the refresh goes on.
const ANSWER: Duration = Duration::from_secs(60);
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
    rollout::pin(&machine, &rollout, &FleetPin::of_rollout(&rollout.commit, &rollout.known)).await?;
    tell(format_args!("pinned: instances that are launched from now on take {}", rollout.commit.short()));
    if rollout.group.desired == 0 {
        return Ok(Ended::Done);
    }
    let id = match rollout::start(&machine, &rollout).await {
        Ok(id) => id,
        Err(error) => {
            return Err(match unpin(&machine, &rollout).await {
                Ok(_) => error,
                Err(why) => error.because(why),
            });
        }
    };
    match follow(&machine, &rollout, &id, rollout.attempts as usize, &mut signals).await {
        None => {
            tell(format_args!("done: {} runs commit {}", rollout.group.name, rollout.commit.short()));
            if !rollout::was_good(&machine, &rollout).await {
                tell(
                    "warning: no instance reported this commit as healthy: does the tag bootagent:ref name another one?",
                );
            }
            Ok(Ended::Done)
        }
        Some(why) => go_back(&machine, &rollout, &id, &why, &mut signals).await,
    }
}

fn show(rollout: &Rollout) {
    let Rollout { memory, commit, known, group, .. } = rollout;
    let present = known.present().map_or("the branch's newest commit", |commit| commit.short());
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

/// Until the refresh has ended: `None` if it is successful, else why it is not.
async fn follow(
    machine: &LocalHost,
    rollout: &Rollout,
    id: &str,
    attempts: usize,
    signals: &mut ShutdownSignals,
) -> Option<String> {
    let began = Instant::now();
    let mut unanswered: Option<Instant> = None;
    let mut last = String::new();
    let mut known: Vec<String> = Vec::new();
    let mut targets: Vec<TargetHealth> = Vec::new();
    while began.elapsed() < LONGEST {
        let (refresh, line) = match rollout::state(machine, rollout, id).await {
            Ok(refresh) => {
                unanswered = None;
                let line = progress(&refresh);
                (Some(refresh), line)
            }
            Err(error) => {
                let since = *unanswered.get_or_insert_with(Instant::now);
                let is_final = !is_retried(&error);
                let error = error.in_public();
                if is_final || since.elapsed() >= UNANSWERED {
                    return Some(format!("the state of the instance refresh is not known: {error}"));
                }
                (None, format!("the state of the instance refresh is not known now: {error}"))
            }
        };
        if line != last {
            tell(format_args!("{:5} s  {line}", began.elapsed().as_secs()));
            last = line;
        }
        targets = unhealthy(machine, rollout, targets).await;
        match refresh {
            Some(refresh) if refresh.is_successful() => return None,
            Some(refresh) if !refresh.is_active() => {
                return Some(format!("the instance refresh is {}: {}", refresh.status, refresh.reason));
            }
            _ => {}
        }
        // Those that were known, if the listing fails this time.
        let failed = rollout::failures(machine, rollout, began.elapsed().as_secs() + 1).await;
        let failed = failed.unwrap_or_else(|_| known.clone());
        for instance in failed.iter().filter(|instance| !known.contains(instance)) {
            tell(format_args!("the commit failed on {instance}: bootagent why {instance} shows it"));
        }
        known = failed;
        if known.len() >= attempts {
            return Some(format!("the commit failed on {} instances", known.len()));
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            signal = signals.next() => {
                if goes_back(signals).await {
                    return Some(format!("{signal} was received"));
                }
            }
        }
    }
    Some(format!("the instance refresh is not done after {} h", LONGEST.as_secs() / 3600))
}

/// Tells what the load balancer says of instances that are not healthy, each state once. Without the permission, or without an
/// answer, nothing.
async fn unhealthy(machine: &LocalHost, rollout: &Rollout, known: Vec<TargetHealth>) -> Vec<TargetHealth> {
    let Some(all) = rollout::targets(machine, rollout).await else { return known };
    let bad: Vec<TargetHealth> = all.into_iter().filter(|one| one.means().is_some()).collect();
    for one in bad.iter().filter(|one| !known.contains(one)) {
        let means = one.means().unwrap_or_default();
        tell(format_args!("         {} is {} at the load balancer: {means}", one.instance, one.state));
    }
    bad
}

/// Asks on the terminal. Without an answer within a minute, and after another signal, the rollout goes back.
async fn goes_back(signals: &mut ShutdownSignals) -> bool {
    let (answers, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = answers.send(cli::ask("stop the rollout and go back?"));
    });
    let answer = tokio::select! {
        answer = answer => answer.ok().flatten(),
        _ = signals.next() => None,
        () = tokio::time::sleep(ANSWER) => None,
    };
    answer != Some(false)
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
    let failed = |cause: String| {
        let stop = format!(
            "bootagent fleet shows what each instance runs; aws autoscaling cancel-instance-refresh --auto-scaling-group-name \
             '{}' stops a refresh that goes on",
            rollout.group.name
        );
        Error::new(Code::RolloutFailed, "rolling out", cause).because(why.to_owned()).remedy(stop)
    };
    tell(format_args!("going back: {why}"));
    // First: instances that the refresh still launches take the former commit.
    let unpinned = unpin(machine, rollout).await;
    let cancelled = rollout::cancel(machine, rollout).await.map_err(|error| error.in_public());
    let former = match (unpinned, &cancelled) {
        (Ok(former), _) => former,
        (Err(why), Ok(())) => return Err(failed(format!("the instance refresh is cancelled, but {why}"))),
        (Err(why), Err(error)) => return Err(failed(format!("{}, and {why}", goes_on(error)))),
    };
    if let Err(error) = &cancelled {
        return Err(failed(format!(
            "commit {} is pinned, and {}: it launches instances of this commit",
            former.short(),
            goes_on(error)
        )));
    }
    let refresh = match ended(machine, rollout, id).await {
        Ok(refresh) => refresh,
        Err(state) => {
            let pinned = former.short();
            return Err(failed(format!(
                "commit {pinned} is pinned, and the end of the cancelled refresh was not seen: {state}"
            )));
        }
    };
    // An instance counts only after its warm-up: the memory says whether one served with the new commit.
    let served = rollout::was_good(machine, rollout).await;
    if refresh.percentage == 0 && !served {
        tell(format_args!("no instance was replaced: commit {} serves on", former.short()));
        return Ok(Ended::WentBack);
    }
    // RollbackInstanceRefresh would restore the launch template, which is the same for both commits.
    let back = rollout::start(machine, rollout).await.map_err(|error| {
        let replaced = rollout.commit.short();
        failed(format!(
            "commit {} is pinned, but instances with {replaced} serve on, because no refresh back could be started: {}",
            former.short(),
            error.in_public()
        ))
    })?;
    match follow(machine, rollout, &back, usize::MAX, signals).await {
        None => {
            tell(format_args!("{} runs commit {} again", rollout.group.name, former.short()));
            Ok(Ended::WentBack)
        }
        Some(second) => Err(failed(format!(
            "commit {} is pinned, and the instance refresh back to it may go on: {second}",
            former.short()
        ))),
    }
}

fn goes_on(error: &Error) -> String {
    format!("the instance refresh goes on, because it could not be cancelled ({error})")
}

/// Waits until a cancelled refresh has ended: it finishes the replacement of single instances. Fails with its last state.
async fn ended(machine: &LocalHost, rollout: &Rollout, id: &str) -> std::result::Result<Refresh, String> {
    let until = Instant::now() + CANCELLING;
    loop {
        let state = match rollout::state(machine, rollout, id).await {
            Ok(refresh) if !refresh.is_active() => return Ok(refresh),
            Ok(refresh) => refresh.status,
            Err(error) if !is_retried(&error) => return Err(error.in_public().to_string()),
            Err(error) => error.in_public().to_string(),
        };
        if Instant::now() >= until {
            return Err(state);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Pins again what was pinned or last good before the rollout. Fails with what stays, and why.
async fn unpin(machine: &LocalHost, rollout: &Rollout) -> std::result::Result<Commit, String> {
    let stays = format!("commit {} stays pinned", rollout.commit.short());
    let Some(pin) = FleetPin::back_from(&rollout.commit, &rollout.known) else {
        let why = match rollout.known.present() {
            Some(_) => "it was the group's commit before this rollout, too",
            None => "the fleet memory knows no commit to go back to",
        };
        return Err(format!("{stays}: {why}"));
    };
    match rollout::pin(machine, rollout, &pin).await {
        Ok(()) => {
            let was = if rollout.known.pin.is_some() { "again" } else { "the last good commit" };
            tell(format_args!("pinned: {}, {was}", pin.commit.short()));
            Ok(pin.commit)
        }
        Err(error) => Err(format!("{stays}: {}", error.in_public())),
    }
}
