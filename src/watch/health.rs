//! The service's health: if it fails for long enough without a break, the group is told to replace the instance.

use std::time::{Duration, Instant};

use super::log::Log;
use super::pause;
use crate::machine::{self, Attend, Health};
use crate::plan::{HealthWatch, Watch};

const SUBJECT: &str = "reporting the instance as unhealthy";

pub async fn attend(machine: &impl Attend, watch: &Watch, log: &Log) {
    let Some(health) = &watch.health else { return };
    let mut since: Option<Instant> = None;
    // Auto Scaling may drop a report within the grace period, so that it is repeated.
    let mut reported: Option<Instant> = None;
    loop {
        pause(watch.every.duration() * 2).await;
        // An operator looks at the machine, or a run works on it, and judges the service itself.
        if log.is_ending() || machine::is_held() || machine::is_run_active() {
            since = None;
            continue;
        }
        match failing(machine, health).await {
            None => {
                since = None;
                if reported.take().is_some() {
                    log.event(format!("{} is healthy again", watch.unit));
                }
            }
            Some(why) => {
                let failing_for = since.get_or_insert_with(Instant::now).elapsed();
                let is_due = reported.is_none_or(|at| at.elapsed() >= health.after.duration());
                if failing_for >= health.after.duration()
                    && is_due
                    && report(machine, watch, &why, failing_for, log).await
                {
                    reported = Some(Instant::now());
                }
            }
        }
    }
}

/// Why the service is not healthy; `None` if it is.
async fn failing(machine: &impl Attend, health: &HealthWatch) -> Option<String> {
    match machine.probe(&health.gate).await {
        Ok(Health::Healthy(_)) => None,
        Ok(Health::Unhealthy(why)) => Some(why),
        Err(error) => Some(error.in_public().to_string()),
    }
}

async fn report(machine: &impl Attend, watch: &Watch, why: &str, failing_for: Duration, log: &Log) -> bool {
    match machine.report_unhealthy(&watch.region, &watch.instance, &watch.network).await {
        Ok(()) => {
            log.succeeded(SUBJECT);
            let seconds = failing_for.as_secs();
            log.event(format!(
                "the instance is reported as unhealthy: {} fails since {seconds} s: {why}",
                watch.unit
            ));
            true
        }
        Err(error) => {
            log.failed(SUBJECT, error);
            false
        }
    }
}
