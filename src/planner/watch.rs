//! The steps of `bootagent-watch.service`: what it watches, its unit and its start, once the service is healthy. If the
//! policy wants no watcher any more, it is stopped and removed.

use std::path::{Path, PathBuf};

use super::draft::{Draft, Wanted};
use super::signal;
use super::steps::Steps;
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, ValuePlace};
use crate::fault::Phase;
use crate::observe::{Selection, WatchWanted};
use crate::plan::{
    Action, EnsureRunning, HealthWatch, Keepalive, LifecycleHook, Record, Seconds, SecretsWatch, Watch,
    layout,
};

const EVERY: Seconds = Seconds(5);
const UNIT: &str = include_str!("../../units/bootagent-watch.service");

/// Adds the watcher, after the record that the deployment was healthy, or after the release of an instance of a warm pool.
/// Each step is optional: the service serves without it.
pub fn watch(steps: &mut Steps, draft: &Draft, after: &str) -> Result<()> {
    let Some((wanted, instance)) =
        draft.wanted.selection.watch.as_ref().zip(draft.wanted.facts.instance.as_ref())
    else {
        return Ok(());
    };
    let group = signal::group(draft.wanted);
    // In a warm pool nothing runs yet.
    let serves = !signal::enters_pool(draft.wanted);
    let data = Watch {
        unit: draft.layout.unit(),
        every: EVERY,
        instance: instance.id.clone(),
        region: instance.region.clone(),
        network: draft.wanted.selection.network.clone(),
        hook: group.and_then(|group| hook(wanted, draft.wanted, group)),
        group: group.map(str::to_owned),
        secrets: wanted.secrets.filter(|_| serves).and_then(|every| secrets(draft.wanted, every)),
        health: wanted
            .unhealthy_after
            .filter(|_| serves && group.is_some())
            .map(|after| HealthWatch { gate: draft.generation.gate.clone(), after }),
        replace: wanted.replace && group.is_some(),
        room: ["/", "/var", "/opt", "/tmp"]
            .map(PathBuf::from)
            .into_iter()
            .chain([draft.layout.data()])
            .collect(),
    };
    let text = serde_json::to_string_pretty(&data)
        .map_err(|error| Error::new(Code::Bug, "planning the watcher", error))?;
    let why = "what the watcher attends to";
    steps.file("watch", why, layout::WATCH_FILE.into(), text + "\n", 0o600).after(&[after]).optional();
    start(steps, after);
    Ok(())
}

fn start(steps: &mut Steps, after: &str) {
    let unit = layout::WATCH_UNIT.to_owned();
    let why = "attends to termination and Spot notices while the service runs";
    let file = layout::unit_file(&unit);
    steps.file("watch-unit", why, file.clone(), UNIT.to_owned(), 0o644).after(&[after]).optional();
    steps
        .link("watch-enable", "also after a reboot", enabled(), Path::new("..").join(&unit))
        .after(&["watch-unit"])
        .optional();
    steps
        .add("watch-reload", "systemd reads the unit", Action::ReloadUnit { unit: unit.clone() })
        .after(&["watch-unit"])
        .within(Phase::Reload)
        .optional();
    let ensure = EnsureRunning {
        inputs: vec![file, layout::WATCH_FILE.into()],
        reloads: Vec::new(),
        beside: Vec::new(),
        record: layout::started_from(&unit),
        unit,
    };
    steps
        .add("watch-start", "the watcher runs with what it is to watch now", Action::EnsureRunning(ensure))
        .after(&["watch", "watch-reload"])
        .within(Phase::Start)
        .optional();
}

/// Adds the steps that remove the watcher, if the machine has one and the policy does not want it.
pub fn remove(steps: &mut Steps, facts: &Facts, selection: &Selection) {
    if !facts.watch || selection.watch.is_some() {
        return;
    }
    let unit = layout::WATCH_UNIT.to_owned();
    // The unit file is removed last: while it exists, a run after a killed one removes the rest.
    let scratch = vec![
        enabled(),
        layout::WATCH_FILE.into(),
        layout::WATCH_STATE.into(),
        layout::started_from(&unit),
        layout::unit_file(&unit),
    ];
    steps
        .add(
            "watch-down",
            "the policy no longer has a watcher",
            Action::StopUnit { unit: unit.clone(), scratch },
        )
        .after(&["remove-leftovers"])
        .within(Phase::Tidy);
    steps
        .add("watch-forget", "systemd forgets the unit", Action::ReloadUnit { unit })
        .after(&["watch-down"])
        .within(Phase::Reload);
}

/// Notes for an operator.
pub fn notes(wanted: &Wanted) -> Vec<String> {
    let Some((watch, _)) = wanted.selection.watch.as_ref().zip(wanted.facts.instance.as_ref()) else {
        return Vec::new();
    };
    let no_group = signal::group(wanted).is_none();
    match &watch.hook {
        Some(hook) if no_group => vec![format!(
            "the terminate hook {hook} is not completed: the instance is not in an Auto Scaling group, or IMDS shows no \
             tag with its name"
        )],
        _ => Vec::new(),
    }
}

fn hook(watch: &WatchWanted, wanted: &Wanted, group: &str) -> Option<Keepalive> {
    let instance = wanted.facts.instance.as_ref()?;
    let at = LifecycleHook {
        hook: watch.hook.clone()?,
        group: group.to_owned(),
        instance: instance.id.clone(),
        region: instance.region.clone(),
        network: wanted.selection.network.clone(),
        // On tmpfs: an instance that returns to the warm pool boots again, and is terminated a second time.
        record: Record { path: layout::WATCH_DRAINED.into(), text: "drained\n".to_owned() },
    };
    Some(Keepalive { at, every: Seconds((watch.heartbeat_timeout.0 / 3).max(1)) })
}

/// The service's own secret and those of its manifest. Parameters are not watched.
fn secrets(wanted: &Wanted, every: Seconds) -> Option<SecretsWatch> {
    let read = wanted.values.iter().flat_map(|values| &values.read);
    let names: Vec<String> = read
        .filter_map(|read| match &read.place {
            ValuePlace::Secret(name) => Some(name.clone()),
            ValuePlace::Parameter(_) | ValuePlace::Parameters(_) => None,
        })
        .collect();
    (!names.is_empty()).then_some(SecretsWatch { names, every })
}

fn enabled() -> PathBuf {
    Path::new("/etc/systemd/system/multi-user.target.wants").join(layout::WATCH_UNIT)
}
