//! The instance's end: its service stops before the machine does, and then the terminate hook is completed.

use std::path::Path;
use std::time::{Duration, Instant};

use super::leaving::{Due, Seen, WARM};
use super::log::Log;
use super::pause;
use crate::apply;
use crate::facts::Spot;
use crate::fault::Fault;
use crate::machine::{Attend, Refreshed};
use crate::plan::{Action, Keepalive, LifecycleResult, Signal, Watch, layout};

/// How long to ask if Auto Scaling does not say. Then the service stops: it must not be killed by the hook's end.
const WITHOUT_ANSWER: Duration = Duration::from_secs(60);
/// Another run is active.
const BUSY: Duration = Duration::from_secs(5);
/// How long it is normal that the instance does not wait at the hook: the load balancer ends its connections first.
const DEREGISTERS: Duration = Duration::from_secs(300);

pub async fn attend(machine: &impl Attend, watch: &Watch, log: &Log) {
    let mut seen = Seen::default();
    let mut to_replace = false;
    loop {
        match machine.notices().await {
            Ok(notices) => {
                log.succeeded("reading notices from IMDS");
                for due in seen.look(&notices, crate::machine::now()) {
                    to_replace |= matches!(due, Due::Spot(_) | Due::Rebalance) && watch.replace;
                    carry_out(due, machine, watch, &mut seen, log).await;
                }
            }
            Err(error) => log.failed("reading notices from IMDS", error),
        }
        if to_replace && !log.is_ending() {
            to_replace = !replaced(machine, watch, log).await;
        }
        pause(seen.pause(watch.every.duration())).await;
    }
}

async fn carry_out(due: Due, machine: &impl Attend, watch: &Watch, seen: &mut Seen, log: &Log) {
    match due {
        Due::Enter => enter(machine, log).await,
        Due::Leave(state) => leave(&state, machine, watch, seen, log).await,
        Due::Spot(spot) => interrupts(&spot, log),
        Due::StopForSpot => {
            log.ends();
            stop(machine, watch, log).await;
        }
        Due::Rebalance => {
            log.event("EC2 recommends to replace this Spot instance: it may be interrupted soon".to_owned());
        }
    }
}

fn interrupts(spot: &Spot, log: &Log) {
    let at = spot.at.map_or("at an unknown time".to_owned(), crate::machine::utc);
    log.event(format!("EC2 interrupts this Spot instance ({}): {at}", spot.action));
}

/// How often Auto Scaling is asked.
fn asking(watch: &Watch) -> Duration {
    watch.every.duration() * 2
}

/// Makes the group replace this instance: it deregisters it, and terminates it at its hook.
async fn replaced(machine: &impl Attend, watch: &Watch, log: &Log) -> bool {
    const SUBJECT: &str = "asking for a replacement";
    match machine.report_unhealthy(&watch.region, &watch.instance, &watch.network).await {
        Ok(()) => {
            log.succeeded(SUBJECT);
            log.event("Auto Scaling is asked to replace this instance".to_owned());
            true
        }
        Err(error) => {
            log.failed(SUBJECT, error);
            false
        }
    }
}

/// No boot starts a run on an instance that kept running in its pool. The run starts the service, and completes the launch
/// hook; it also gives this watcher more to watch, and restarts it.
async fn enter(machine: &impl Attend, log: &Log) {
    const SUBJECT: &str = "starting the service";
    log.begins();
    // It may return to the pool, and be drained once more in this boot.
    forget(Path::new(layout::WATCH_DRAINED), log);
    log.event("the instance leaves the warm pool: a run starts the service".to_owned());
    loop {
        match machine.refresh().await {
            Ok(Refreshed::Busy) => pause(BUSY).await,
            Ok(Refreshed::Healthy) => return log.succeeded(SUBJECT),
            Ok(how) => {
                return log.event(format!("{SUBJECT}: the run has ended: {how:?}; see bootagent status"));
            }
            Err(error) => return log.failed(SUBJECT, error),
        }
    }
}

async fn leave(state: &str, machine: &impl Attend, watch: &Watch, seen: &mut Seen, log: &Log) {
    log.ends();
    let Some(hook) = &watch.hook else {
        log.event(format!(
            "Auto Scaling takes the instance out of service ({state}); there is no terminate hook"
        ));
        return;
    };
    log.event(format!("Auto Scaling takes the instance out of service ({state})"));
    tokio::select! {
        () = await_hook(machine, watch, hook, log) => {}
        () = await_interruption(machine, watch, seen, log) => {
            log.event("the Spot interruption is near: the service does not wait for the hook".to_owned());
        }
    }
    stop(machine, watch, log).await;
    complete(machine, watch, hook, log).await;
    if state.starts_with(WARM) {
        // It is launched once more: the run that then starts the service completes the launch hook again.
        forget(&layout::lifecycle(&watch.instance), log);
    }
}

fn forget(record: &Path, log: &Log) {
    if let Err(error) = crate::machine::remove_file(record) {
        log.failed("removing a record", error);
    }
}

/// Waits until the instance waits at the hook: by then the load balancer sends it no more requests. Auto Scaling accepts a
/// heartbeat only then.
async fn await_hook(machine: &impl Attend, watch: &Watch, hook: &Keepalive, log: &Log) {
    const SUBJECT: &str = "waiting for the terminate hook";
    let (begun, asking) = (Instant::now(), asking(watch));
    let mut unanswered: Option<Instant> = None;
    loop {
        match machine.keep_alive(hook).await {
            Ok(()) => {
                log.succeeded(SUBJECT);
                return;
            }
            Err(error) if Fault::of(&error) == Some(Fault::HookNotWaiting) => {
                unanswered = None;
                if begun.elapsed() >= DEREGISTERS {
                    log.failed(SUBJECT, error);
                }
            }
            Err(error) => {
                let since = *unanswered.get_or_insert_with(Instant::now);
                let is_final = !Fault::of(&error).is_some_and(Fault::is_retried);
                log.failed(SUBJECT, error);
                if since.elapsed() >= WITHOUT_ANSWER || (is_final && since.elapsed() >= asking) {
                    return;
                }
            }
        }
        pause(asking).await;
    }
}

/// Until a Spot interruption is near: EC2 does not wait for a hook.
async fn await_interruption(machine: &impl Attend, watch: &Watch, seen: &mut Seen, log: &Log) {
    while !seen.is_interrupted(crate::machine::now()) {
        pause(watch.every.duration()).await;
        match machine.notices().await {
            Ok(notices) => seen.spot(&notices).iter().for_each(|spot| interrupts(spot, log)),
            Err(error) => log.failed("reading notices from IMDS", error),
        }
    }
}

/// Stops the service, which finishes its requests. Heartbeats keep the hook waiting meanwhile.
async fn stop(machine: &impl Attend, watch: &Watch, log: &Log) {
    log.event(format!("stopping {}: it finishes its requests", watch.unit));
    let beats = async {
        let Some(hook) = &watch.hook else { return std::future::pending().await };
        loop {
            pause(hook.every.duration()).await;
            if let Err(error) = machine.keep_alive(hook).await {
                log.failed("sending heartbeats", error);
            }
        }
    };
    let stopped = tokio::select! {
        stopped = machine.stop_service(&watch.unit) => stopped,
        () = beats => Ok(()),
    };
    match stopped {
        Ok(()) => log.event(format!("{} has stopped", watch.unit)),
        Err(error) => log.failed("stopping the service", error),
    }
}

/// Completes the hook. Repeated until Auto Scaling accepts it, or does not wait any more.
async fn complete(machine: &impl Attend, watch: &Watch, hook: &Keepalive, log: &Log) {
    const SUBJECT: &str = "completing the terminate hook";
    let signal = Action::Signal(Signal { at: hook.at.clone(), result: LifecycleResult::Continue });
    while let Err(error) = apply::once(machine, &signal).await {
        log.failed(SUBJECT, error);
        pause(asking(watch)).await;
    }
    log.succeeded(SUBJECT);
    log.event(format!("the terminate hook {} is completed with CONTINUE", hook.at.hook));
}
