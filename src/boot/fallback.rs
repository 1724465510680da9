//! The end of a run that failed before it had a plan: reports which deployment serves, and starts the last healthy one
//! if nothing serves.
//!
//! Sends nothing to Auto Scaling: the next try, five minutes later, may complete the instance's lifecycle hook. If none
//! does within the hook's heartbeat timeout, Auto Scaling gives the instance up by itself.

use std::cell::Cell;
use std::time::Duration;

use super::serves::running;
use crate::apply;
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Generation, Good, Instance, Network, S3Object, Service};
use crate::machine::{self, Health, Host, Observe};
use crate::observe::{self, Flags};
use crate::plan::{Rendering, Seconds, layout};
use crate::planner;
use crate::report::Report;

/// What the run knew when it failed. The fields have defaults for what it did not reach.
pub struct Known {
    pub budget: Seconds,
    pub network: Network,
    pub instance: Option<Instance>,
    /// Where the run's report goes.
    pub report: Option<S3Object>,
    /// The log group for the end of a failed run, and whether it has that already.
    pub log_group: Option<String>,
    pub is_told: Cell<bool>,
}

impl Known {
    pub fn new(flags: &Flags) -> Self {
        Known {
            budget: flags.budget(),
            network: Network::default(),
            instance: None,
            report: None,
            log_group: None,
            is_told: Cell::new(false),
        }
    }
}

/// How long to retry to read the secret, and the instance's id if the run failed before it had it. Short: the run has
/// already waited for them.
const PATIENCE: Seconds = Seconds(20);
/// How long to check a deployment.
const CHECK: Duration = Duration::from_secs(15);

/// Reports what serves; the run has changed nothing of it. If it is down, starts the last healthy deployment, unless
/// the error forbids that (a hold, for example).
pub async fn without_a_plan(machine: &impl Host, known: &Known, error: &Error, report: &Report) {
    // Read again: the run may have failed before it read them.
    let Ok(mut facts) = machine.facts(&[]).await else { return };
    let instance = known.instance.as_ref().map(|instance| instance.id.as_str());
    let mut down = Vec::new();
    for (service, good) in &facts.good {
        // For all services with a record: the run may have failed before it knew its service.
        if instance.is_some() && good.instance.as_deref() == instance {
            report.passed_here(&good.generation.commit);
        }
        let condition = tokio::time::timeout(CHECK, condition(machine, service, &good.generation)).await;
        match condition.unwrap_or(Condition::Unhealthy("the check took more than 15 s".to_owned())) {
            Condition::Serves => report.serves_on(&good.generation),
            Condition::Unhealthy(cause) => report.may_not_serve(&good.generation, &cause),
            Condition::Down(cause) => down.push((service.clone(), cause)),
        }
    }
    if down.is_empty() || !planner::allows_fallback(error.code()) {
        return report_down(&facts, &down, report);
    }
    facts.instance = match &known.instance {
        Some(instance) => Some(instance.clone()),
        None => machine.instance(PATIENCE).await.ok(),
    };
    match to_start(machine, &facts).await {
        Some((service, good)) if down.iter().any(|(down, _)| down == service) => {
            let others: Vec<_> = down.iter().filter(|(down, _)| down != service).cloned().collect();
            report_down(&facts, &others, report);
            let fallback = Fallback { known, facts: &facts, service, good: &good.generation, error };
            if let Err(why) = fallback.start(machine, report).await {
                let why = why.in_public().report();
                report.may_not_serve(&good.generation, &format!("{}: {}", why.doing, why.causes.join(": ")));
            }
        }
        _ => report_down(&facts, &down, report),
    }
}

fn report_down(facts: &Facts, down: &[(Service, String)], report: &Report) {
    for (service, cause) in down {
        if let Some(good) = facts.good.get(service) {
            report.may_not_serve(&good.generation, cause);
        }
    }
}

/// The present condition of a deployment that was healthy.
enum Condition {
    Serves,
    /// It runs but is not healthy (systemd restarts it), or another process answers in its place.
    Unhealthy(String),
    /// It does not run, and nothing answers.
    Down(String),
}

async fn condition(machine: &impl Observe, service: &Service, generation: &Generation) -> Condition {
    let runs = running(machine, service, generation).await;
    let probed = machine.probe(&generation.gate).await;
    match (runs, probed) {
        (Ok(None), Ok(Health::Healthy(_))) => Condition::Serves,
        (Ok(None), Ok(Health::Unhealthy(cause))) => Condition::Unhealthy(cause),
        (Ok(Some(how)), Ok(Health::Healthy(_))) => Condition::Unhealthy(how),
        (Ok(Some(how)), Ok(Health::Unhealthy(_))) => Condition::Down(how),
        (Err(error), _) | (_, Err(error)) => Condition::Unhealthy(error.in_public().to_string()),
    }
}

/// The service to start: the pinned one, or else the only one that was healthy on this instance.
async fn to_start<'a>(machine: &impl Observe, facts: &'a Facts) -> Option<(&'a Service, &'a Good)> {
    let decided = match &facts.instance {
        Some(instance) => observe::decided(machine, &layout::decision(&instance.id)).await.ok().flatten(),
        None => None,
    };
    // The environment of a healthy deployment is on tmpfs: where there is one, it was healthy in this boot.
    let mut healthy_in_this_boot = Vec::new();
    for service in facts.good.keys() {
        let layout = layout::Layout::new(service);
        if matches!(observe::good_environment(machine, &layout).await, Ok(Some(_))) {
            healthy_in_this_boot.push(service.clone());
        }
    }
    let decided = decided.map(|decided| decided.service);
    planner::to_start(facts, decided.as_ref(), |service| healthy_in_this_boot.contains(service))
}

/// The deployment to start, and the error of the run.
struct Fallback<'a> {
    known: &'a Known,
    facts: &'a Facts,
    service: &'a Service,
    good: &'a Generation,
    error: &'a Error,
}

impl Fallback<'_> {
    async fn start(&self, machine: &impl Host, report: &Report) -> Result<()> {
        let environment = self.environment(machine).await?;
        let steps = planner::fallback_steps(self.facts, self.service, self.good, &environment);
        apply::recover(machine, &steps, self.known.budget, true, report).await;
        report.recovered(Some(self.good));
        Ok(())
    }

    /// The environment from the secret's current values; if they cannot be read, the one that was healthy in this boot.
    async fn environment(&self, machine: &impl Observe) -> Result<Rendering> {
        let why = match self.rendered(machine).await {
            Ok(rendering) => return Ok(rendering),
            Err(why) => why,
        };
        observe::good_environment(machine, &layout::Layout::new(self.service)).await?.ok_or(why)
    }

    async fn rendered(&self, machine: &impl Observe) -> Result<Rendering> {
        let commit = self.good.commit.short();
        let Some(kept) = planner::kept_of(self.facts, self.service, self.good).cloned() else {
            let doing = format!("making the environment of commit {commit}, the last healthy one");
            let cause =
                "an older version of bootagent deployed it and did not record where its variables come from";
            return Err(Error::new(Code::RecordUnreadable, doing, cause));
        };
        let has_values = kept.variables.secret.is_some() || !kept.variables.sources.is_empty();
        let secret = match (has_values, &self.facts.instance) {
            (false, _) => None,
            // Reading the secret has just failed: do not wait for it again.
            (true, _) if is_about_the_secret(self.error.code()) => return Err(self.error.clone()),
            (true, None) => return Err(self.error.clone()),
            (true, Some(instance)) => {
                let network = &self.known.network;
                observe::variables_of(machine, &kept.variables, instance, network, PATIENCE).await?
            }
        };
        let service = self.service.clone();
        machine::blocking(move || planner::kept_rendering(&service, &kept, secret.as_ref())).await
    }
}

fn is_about_the_secret(code: Code) -> bool {
    matches!(
        code,
        Code::SecretMissing
            | Code::SecretDenied
            | Code::SecretUnreachable
            | Code::SecretInvalid
            | Code::SecretKeyRefused
            | Code::ParameterMissing
            | Code::ParameterDenied
            | Code::ParameterUnreachable
            | Code::CredentialsMissing
    )
}
