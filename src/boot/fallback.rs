//! A run without a plan: what serves is told, and where nothing serves, what was good is started.

use std::time::Duration;

use super::serves::running;
use crate::apply;
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Generation, Good, Instance, Network, Service};
use crate::machine::{self, Health, Host, Observe};
use crate::observe::{self, Flags};
use crate::plan::{Rendering, Seconds, layout};
use crate::planner;
use crate::report::Report;

/// What a run knew when it failed.
pub struct Known {
    pub budget: Seconds,
    pub network: Network,
    pub instance: Option<Instance>,
}

impl Known {
    pub fn at_first(flags: &Flags) -> Self {
        Known { budget: flags.budget(), network: Network::default(), instance: None }
    }
}

/// How long the secret is waited for once more; and the instance, if the run ended before it asked for it.
const PATIENCE: Seconds = Seconds(20);
const LOOK: Duration = Duration::from_secs(15);

/// Nothing was done to what serves: it is only looked at. Down, it is started, if the error lets us.
pub async fn without_a_plan(machine: &impl Host, known: &Known, error: &Error, report: &Report) {
    // Anew: the run may have ended before it knew them.
    let Ok(mut facts) = machine.facts(&[]).await else { return };
    let instance = known.instance.as_ref().map(|instance| instance.id.as_str());
    let mut down = Vec::new();
    for (service, good) in &facts.good {
        // The run may have ended before it knew its service.
        if instance.is_some() && good.instance.as_deref() == instance {
            report.passed_here(&good.generation.commit);
        }
        let standing = tokio::time::timeout(LOOK, standing(machine, service, &good.generation)).await;
        match standing.unwrap_or(Standing::Unwell("it does not tell within 15 s".to_owned())) {
            Standing::Serves => report.serves_on(&good.generation),
            Standing::Unwell(cause) => report.may_not_serve(&good.generation, &cause),
            Standing::Down(cause) => down.push((service.clone(), cause)),
        }
    }
    if down.is_empty() || !planner::may_start_after(error.code()) {
        return tell(&facts, &down, report);
    }
    facts.instance = match &known.instance {
        Some(instance) => Some(instance.clone()),
        None => machine.instance(PATIENCE).await.ok(),
    };
    match to_start(machine, &facts).await {
        Some((service, good)) if down.iter().any(|(down, _)| down == service) => {
            let others: Vec<_> = down.iter().filter(|(down, _)| down != service).cloned().collect();
            tell(&facts, &others, report);
            let fallback = Fallback { known, facts: &facts, service, good: &good.generation, error };
            if let Err(why) = fallback.start(machine, report).await {
                let why = why.in_public().report();
                report.may_not_serve(&good.generation, &format!("{}: {}", why.doing, why.causes.join(": ")));
            }
        }
        _ => tell(&facts, &down, report),
    }
}

fn tell(facts: &Facts, down: &[(Service, String)], report: &Report) {
    for (service, cause) in down {
        if let Some(good) = facts.good.get(service) {
            report.may_not_serve(&good.generation, cause);
        }
    }
}

/// What a deployment that passed is at this moment.
enum Standing {
    Serves,
    /// It runs and is not well, which systemd sees to; or something else answers in its place.
    Unwell(String),
    /// It does not run, and nothing answers.
    Down(String),
}

async fn standing(machine: &impl Observe, service: &Service, generation: &Generation) -> Standing {
    let runs = running(machine, service, generation).await;
    let probed = machine.probe(&generation.gate).await;
    match (runs, probed) {
        (Ok(None), Ok(Health::Well(_))) => Standing::Serves,
        (Ok(None), Ok(Health::Unwell(cause))) => Standing::Unwell(cause),
        (Ok(Some(how)), Ok(Health::Well(_))) => Standing::Unwell(how),
        (Ok(Some(how)), Ok(Health::Unwell(_))) => Standing::Down(how),
        (Err(error), _) | (_, Err(error)) => Standing::Unwell(error.in_public().to_string()),
    }
}

async fn to_start<'a>(machine: &impl Observe, facts: &'a Facts) -> Option<(&'a Service, &'a Good)> {
    let decided = match &facts.instance {
        Some(instance) => observe::decided(machine, &layout::decision(&instance.id)).await.ok().flatten(),
        None => None,
    };
    let mut here = Vec::new();
    for service in facts.good.keys() {
        let layout = layout::Layout::new(service);
        if matches!(observe::good_environment(machine, &layout).await, Ok(Some(_))) {
            here.push(service.clone());
        }
    }
    let decided = decided.map(|decided| decided.service);
    planner::to_start(facts, decided.as_ref(), |service| here.contains(service))
}

/// What is to be started, and what the run failed by.
struct Fallback<'a> {
    known: &'a Known,
    facts: &'a Facts,
    service: &'a Service,
    good: &'a Generation,
    error: &'a Error,
}

impl Fallback<'_> {
    async fn start(&self, machine: &impl Host, report: &Report) -> Result<()> {
        let steps = planner::start_good(self.service, self.good, &self.environment(machine).await?);
        apply::recover(machine, &steps, self.known.budget, report).await;
        report.recovered(Some(self.good));
        Ok(())
    }

    /// Rendered anew with the values of today; else the one that passed in this boot.
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
            let doing = format!("rendering the environment of commit {commit}, which passed last");
            let cause =
                "an older bootagent deployed it, and kept no record of what its environment is made of";
            return Err(Error::new(Code::RecordUnreadable, doing, cause));
        };
        let secret = match (&kept.variables.secret, &self.facts.instance) {
            (None, _) => None,
            // It was asked for just now.
            (Some(_), _) if is_about_the_secret(self.error.code()) => return Err(self.error.clone()),
            (Some(_), None) => return Err(self.error.clone()),
            (Some(_), Some(instance)) => {
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
            | Code::CredentialsMissing
    )
}
