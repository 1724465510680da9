//! Steps that run the operator's hooks: one step for each phase that has any.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::before_serving;
use super::draft::Draft;
use super::steps::Steps;
use crate::error::{Code, Error, Result};
use crate::facts::{HookPhase, Hooks};
use crate::plan::{Action, RunHooks, Seconds, layout};

pub use super::steps::BEFORE_INSTALL;

/// Ids of the steps.
pub const BEFORE_START: &str = "hooks-before-start";
const AFTER_HEALTHY: &str = "hooks-after-healthy";

/// Refuses hooks that users other than root can change, and what cannot be run.
pub fn refuse(hooks: &Hooks) -> Result<()> {
    let Some(cause) = &hooks.refused else { return Ok(()) };
    let remedy = "only root may be able to change the hooks: chown root and chmod go-w on the path that is named; \
                  docs/how-to/run-hooks.md describes the directories";
    Err(Error::new(Code::PolicyInvalid, format!("reading the hooks in {}", layout::HOOKS), cause.clone())
        .remedy(remedy))
}

/// Adds the step before the release is built. Skipped if it is complete: if the record `complete` is there.
pub fn before_install(steps: &mut Steps, draft: &Draft, rules: &[&str], complete: PathBuf) {
    let Some(hooks) = hooks(draft, HookPhase::BeforeInstall) else { return };
    let hooks = RunHooks { done_by: Some(complete), ..hooks };
    let why = "the operator's preparation of the machine, before anything of the commit is there";
    add(steps, BEFORE_INSTALL, why, hooks).after(&["remove-leftovers", "state"]).after(rules);
}

/// Adds the step before anything of the serving deployment is replaced.
pub fn before_start(steps: &mut Steps, draft: &Draft) {
    let Some(hooks) = hooks(draft, HookPhase::BeforeStart) else { return };
    let prepared = before_serving(steps);
    let why = "what the operator wants done before the service starts; a failure leaves what serves";
    add(steps, BEFORE_START, why, hooks).after(&[prepared]);
}

/// Adds the step after the health check. The service is healthy, so a failure is a warning.
pub fn after_healthy(steps: &mut Steps, draft: &Draft) {
    let Some(hooks) = hooks(draft, HookPhase::AfterHealthy) else { return };
    let why = "what the operator wants done once the service is healthy; a failure is a warning";
    add(steps, AFTER_HEALTHY, why, hooks).after(&["health-check"]).optional();
}

/// The hooks after a failed run. They are not steps: the recovery must not depend on them.
pub fn after_failure(draft: &Draft) -> Option<RunHooks> {
    hooks(draft, HookPhase::AfterFailure)
}

fn hooks(draft: &Draft, phase: HookPhase) -> Option<RunHooks> {
    let Draft { wanted, layout, generation, .. } = draft;
    let programs = wanted.facts.hooks.of(phase);
    if programs.is_empty() {
        return None;
    }
    let variables = [
        ("BOOTAGENT_PHASE", phase.name().to_owned()),
        ("BOOTAGENT_SERVICE", wanted.selection.service.to_string()),
        ("BOOTAGENT_ENVIRONMENT", wanted.selection.environment.to_string()),
        ("BOOTAGENT_COMMIT", wanted.source.commit.to_string()),
        ("BOOTAGENT_RELEASE", generation.release.display().to_string()),
        ("HOME", "/root".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
    ];
    let environment: BTreeMap<String, String> =
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let (unit, timeout) = (layout.transient("hooks"), wanted.selection.hooks_timeout);
    Some(RunHooks { phase, programs: programs.to_vec(), unit, environment, timeout, done_by: None })
}

fn add<'a>(steps: &'a mut Steps, id: &str, why: &str, hooks: RunHooks) -> super::steps::Added<'a> {
    // Longer than the programs' own limits together, so that the step ends with their error.
    let most = Seconds(hooks.timeout.0 * hooks.programs.len() as u64 + 30);
    let mut step = steps.add(id, why, Action::RunHooks(hooks));
    step.lasting(most);
    step
}
