//! New versions of the service's secrets: a run deploys the same commit with them. The run checks the service's health,
//! and returns to the former values if it fails.

use std::collections::BTreeMap;
use std::time::Duration;

use super::log::Log;
use super::pause;
use crate::machine::{self, Attend, Refreshed};
use crate::plan::{SecretsWatch, Watch};

const SUBJECT: &str = "looking for new versions of secrets";

pub async fn attend(machine: &impl Attend, watch: &Watch, log: &Log) {
    let Some(secrets) = &watch.secrets else { return };
    // What the last run read is not known: the first look starts a run, which does nothing if the values are the same.
    let mut known = BTreeMap::new();
    // The instances of a group start together: each looks at a time of its own.
    pause(secrets.every.duration().mul_f64(fastrand::f64())).await;
    loop {
        if !log.is_ending() && !machine::is_held() {
            look(machine, watch, secrets, &mut known, log).await;
        }
        pause(jittered(secrets.every.duration())).await;
    }
}

async fn look<'a>(
    machine: &impl Attend,
    watch: &Watch,
    secrets: &'a SecretsWatch,
    known: &mut BTreeMap<&'a str, String>,
    log: &Log,
) {
    let mut found = BTreeMap::new();
    for name in &secrets.names {
        match machine.secret_version(name, &watch.region, &watch.network).await {
            Ok(version) => found.insert(name.as_str(), version),
            // A secret that cannot be read changes nothing: the service keeps its values.
            Err(error) => return log.failed(SUBJECT, error),
        };
    }
    log.succeeded(SUBJECT);
    let new = |name: &&str| known.get(*name) != found.get(*name);
    let changed: Vec<&str> = found.keys().copied().filter(new).collect();
    if changed.is_empty() {
        return;
    }
    let is_first = known.is_empty();
    let what = changed.join(", ");
    if !is_first {
        log.event(format!("there is a new version of {what}: a run deploys it"));
    }
    match machine.refresh().await {
        Ok(Refreshed::Healthy) => {
            *known = found;
            if !is_first {
                log.event(format!("the service is healthy with the new version of {what}"));
            }
        }
        Ok(Refreshed::Busy) => log.say("another run is active: the next look starts one".to_owned()),
        Ok(Refreshed::FormerServes) => {
            *known = found;
            log.event(format!(
                "the service is not healthy with the new version of {what}, and runs with the former values"
            ));
        }
        Ok(Refreshed::Failed(status)) => {
            *known = found;
            log.event(format!(
                "the run for the new version of {what} failed with status {status}: see bootagent status"
            ));
        }
        Err(error) => log.failed(SUBJECT, error),
    }
}

/// With a random difference of up to a fifth.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.8 + 0.4 * fastrand::f64())
}
