//! The fallback: if a run cannot make its deployment, it starts the last healthy one of this instance from its record.
//! Only this file decides whether it may, and which one.

use std::collections::BTreeSet;

use super::finished::aside;
use super::records::{self, good_of};
use super::running::ensure_running;
use super::steps::Steps;
use super::{beside, environment, health, process_units};
use crate::error::Code;
use crate::facts::{Facts, Generation, Good, Service, ServiceFile, Supervised};
use crate::fault::Phase;
use crate::plan::layout::Layout;
use crate::plan::{Action, EnsureRunning, Mark, Owner, Rendering, Step, StepId};

/// Whether a run that failed with this code may start the last healthy deployment. Not if operator or policy refused
/// the run, which applies to that deployment, too; and not without the rules for IMDS, which would leave it
/// unprotected.
pub fn allows_fallback(code: Code) -> bool {
    !matches!(
        code,
        Code::Usage
            | Code::NotRoot
            | Code::Busy
            | Code::Cancelled
            | Code::NotEc2
            | Code::Held
            | Code::UnitMasked
            | Code::PolicyRefused
            | Code::ImdsAnswers
            | Code::ImdsRules
    )
}

/// The deployment to start: the last healthy one on this instance, of the service that the instance is pinned to; if
/// it is not pinned, of the only service that has one. If the instance's id is unknown, the record may be from the
/// instance that the AMI was made from; then it must have been healthy in this boot.
pub fn to_start<'a>(
    facts: &'a Facts,
    decided: Option<&Service>,
    passed_in_this_boot: impl Fn(&Service) -> bool,
) -> Option<(&'a Service, &'a Good)> {
    let is_of_this_instance = |service: &Service| match facts.instance {
        Some(_) => good_of(facts, service).is_some(),
        None => passed_in_this_boot(service),
    };
    // Checked here as well: the run may have failed before it checked hold and mask.
    let may_run = |service: &Service| {
        facts.operator.hold.is_none() && !facts.operator.masked.contains(&Layout::new(service).unit())
    };
    let mut usable =
        facts.good.iter().filter(|(service, _)| is_of_this_instance(service) && may_run(service));
    match decided {
        Some(decided) => usable.find(|(service, _)| *service == decided),
        None => usable.next().filter(|_| usable.next().is_none()),
    }
}

/// Adds the steps that start a recorded deployment as a whole: environment, unit, release, health check. `ready` are
/// ids of steps that must be done first, and `listened` the ports on which it was observed to listen.
pub fn start(
    steps: &mut Steps,
    good: &Generation,
    listened: BTreeSet<u16>,
    environment: Option<&Rendering>,
    ready: &[String],
    layout: &Layout,
) {
    let why = "the last healthy deployment";
    let mut ready: Vec<&str> = ready.iter().map(String::as_str).chain(["reload-back"]).collect();
    let written;
    if let Some(rendering) = environment {
        // On tmpfs, so that after a reboot it does not exist yet.
        let owner = Owner::new("root", layout.user());
        steps.directory("run-back", why, layout.run(), owner, 0o750);
        written = environment::write(steps, &environment::BACK, rendering, &["run-back"], layout);
        ready.extend(written.iter().map(String::as_str));
    }
    let mut files = vec!["unit-back".to_owned()];
    steps.file("unit-back", why, layout.unit_file(), good.runs_by.unit.clone(), 0o644);
    for file in &good.runs_by.files {
        let id = format!("{}-back", file.name);
        steps.file(&id, why, file.path.clone(), file.text.clone(), 0o644);
        files.push(id);
    }
    let beside = good.runs_by.beside.as_slice();
    let written = beside::write(steps, beside, "-back", &[]);
    let reload = Action::ReloadUnit { unit: layout.unit() };
    let files = files.into_iter().map(StepId::new).collect();
    steps.add("reload-back", why, reload).needing(files).within(Phase::Reload);
    steps.link("switch-back", why, layout.current(), good.release.clone()).after(&ready);
    // Always a restart: a reload would keep processes of the failed deployment, in an unknown state.
    let start =
        Action::EnsureRunning(EnsureRunning { reloads: Vec::new(), ..ensure_running(&good.runs_by, layout) });
    steps.add("start-back", why, start).after(&["switch-back"]).within(Phase::Start).marks(Mark::BackStarted);
    let started = beside::start(steps, beside, "-back", "start-back", &written);
    health::await_gate(
        steps,
        "health-check-back",
        "the previous deployment must be healthy again",
        &good.gate,
        listened,
    )
    .after(&["start-back"])
    .needing(started)
    .marks(Mark::BackServing);
}

/// Adds steps that remove the files of the `old` deployment that the `new` one does not have. Returns their ids.
pub fn remove_files(steps: &mut Steps, old: &Supervised, new: &Supervised, needs: &[&str]) -> Vec<String> {
    let stays = |file: &&ServiceFile| new.files.iter().any(|other| other.path == file.path);
    let mut ids = Vec::new();
    // A unit is stopped first: see `beside`.
    let removed = old.files.iter().filter(|file| file.unit().is_none() && !stays(file));
    for file in removed {
        let id = format!("remove-{}", file.name);
        let why = "a file of the other deployment, which this one does not have";
        steps.add(&id, why, Action::RemoveFile { path: file.path.clone() }).after(needs);
        ids.push(id);
    }
    ids
}

/// The steps that start a recorded deployment, for a run that failed before it had a plan.
pub fn fallback_steps(
    facts: &Facts,
    service: &Service,
    good: &Generation,
    environment: &Rendering,
) -> Vec<Step> {
    let (mut steps, layout) = (Steps::default(), Layout::new(service));
    let back = Action::BringBack(aside(good, &layout));
    let why = "a run may have been killed after it set the release aside to rebuild it";
    steps.add("bring-back", why, back).within(Phase::Tidy);
    let listened = records::listened(facts, service, good);
    let mut ready = vec!["bring-back".to_owned()];
    let known = process_units::known(facts, service, []);
    let stopped = process_units::stop_others(&mut steps, &known, good, &[]);
    ready.extend(stopped.iter().map(|id| id.as_str().to_owned()));
    start(&mut steps, good, listened, Some(environment), &ready, &layout);
    steps.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Commit, Gate, Hold, Instance, Probe, Seconds, records};
    use crate::plan::environment::DOTENV;
    use crate::secret::Sealed;

    fn service(name: &str) -> Service {
        Service::try_from(name).unwrap()
    }

    fn generation() -> Generation {
        let gate = Gate {
            unit: "auth.service".to_owned(),
            probe: Probe::Tcp { port: 3000 },
            also: Vec::new(),
            within: Seconds(60),
            soak: Seconds(5),
            interval_ms: 500,
        };
        let commit = Commit::try_from("0123456789abcdef0123456789abcdef01234567").unwrap();
        Generation { commit, release: "/opt/auth/releases/r".into(), runs_by: Default::default(), gate }
    }

    fn facts(instance: Option<&str>, good: &[(&str, &str)]) -> Facts {
        let instance = instance.map(|id| Instance {
            id: id.to_owned(),
            region: "eu-west-1".to_owned(),
            zone: "eu-west-1a".to_owned(),
            kind: "t3.small".to_owned(),
            address: None,
        });
        let good = good.iter().map(|(name, instance)| {
            let (instance, generation) = (Some((*instance).to_owned()), generation());
            (service(name), Good { schema: records::SCHEMA, instance, generation, before: None })
        });
        Facts { instance, good: good.collect(), ..Facts::default() }
    }

    fn started(facts: &Facts, decided: Option<&str>, in_this_boot: bool) -> Option<String> {
        let decided = decided.map(service);
        to_start(facts, decided.as_ref(), |_| in_this_boot).map(|(service, _)| service.to_string())
    }

    #[test]
    fn the_last_healthy_deployment_of_this_instance_is_started() {
        let two = facts(Some("i-1"), &[("auth", "i-1"), ("cart", "i-1")]);
        assert_eq!(started(&two, Some("cart"), false).as_deref(), Some("cart"));
        let one = facts(Some("i-1"), &[("auth", "i-1"), ("cart", "i-0")]);
        assert_eq!(started(&one, None, false).as_deref(), Some("auth"));
        let nowhere = facts(None, &[("auth", "i-1")]);
        assert_eq!(started(&nowhere, None, true).as_deref(), Some("auth"));
    }

    #[test]
    fn one_of_another_instance_or_of_several_services_is_not() {
        let baked = facts(Some("i-2"), &[("auth", "i-1")]);
        assert_eq!(started(&baked, Some("auth"), true), None);
        let two = facts(Some("i-1"), &[("auth", "i-1"), ("cart", "i-1")]);
        assert_eq!(started(&two, None, false), None);
        assert_eq!(started(&two, Some("mail"), false), None);
        assert_eq!(started(&facts(None, &[("auth", "i-1")]), None, false), None);
    }

    #[test]
    fn one_that_an_operator_masked_or_held_is_not() {
        let good = || facts(Some("i-1"), &[("auth", "i-1")]);
        let mut masked = good();
        masked.operator.masked.insert("auth.service".to_owned());
        assert_eq!(started(&masked, Some("auth"), true), None);
        let mut held = good();
        held.operator.hold = Some(Hold { since: 1, reason: String::new() });
        assert_eq!(started(&held, Some("auth"), true), None);
        let mut other = good();
        other.operator.masked.insert("cart.service".to_owned());
        assert_eq!(started(&other, Some("auth"), true).as_deref(), Some("auth"));
    }

    #[test]
    fn after_a_refusal_nothing_is_started() {
        for code in
            [Code::PolicyRefused, Code::UnitMasked, Code::Held, Code::Usage, Code::Cancelled, Code::ImdsRules]
        {
            assert!(!allows_fallback(code), "{code:?}");
        }
        for code in [Code::GitUnreachable, Code::SecretDenied, Code::PolicyInvalid, Code::RuntimeMissing] {
            assert!(allows_fallback(code), "{code:?}");
        }
    }

    #[test]
    fn a_recovery_writes_its_own_files_and_removes_others() {
        let file = |name: &str, path: &str| ServiceFile {
            name: name.to_owned(),
            why: String::new(),
            path: path.into(),
            text: "{}".to_owned(),
        };
        let mut good = generation();
        good.runs_by.files = vec![file("ecosystem", "/opt/auth/ecosystem.json")];
        good.runs_by.takes = crate::facts::Takes::Reload;
        let files = vec![file("ecosystem", "/opt/auth/ecosystem.json"), file("site", "/etc/nginx/auth.conf")];
        let failed = Supervised { files, ..Supervised::default() };
        let mut steps = Steps::default();
        let removed = remove_files(&mut steps, &failed, &good.runs_by, &[]);
        assert_eq!(removed, ["remove-site"]);
        start(&mut steps, &good, BTreeSet::new(), None, &removed, &Layout::new(&service("auth")));
        let steps = steps.finish();
        let step = |id: &str| steps.iter().find(|step| step.id.as_str() == id).unwrap();
        let needs = |id: &str| step(id).needs.iter().map(StepId::as_str).collect::<Vec<_>>();
        assert_eq!(needs("reload-back"), ["unit-back", "ecosystem-back"]);
        assert!(needs("switch-back").contains(&"remove-site"));
        let Action::EnsureRunning(ensure) = &step("start-back").action else { panic!("no start") };
        assert!(ensure.inputs.contains(&"/opt/auth/ecosystem.json".into()), "{:?}", ensure.inputs);
        assert!(ensure.reloads.is_empty(), "the recovery reloads nothing");
    }

    #[test]
    fn a_recovery_writes_environment_unit_and_release_before_the_start() {
        let sealed = || Sealed::new(vec!["TOKEN".to_owned()], "TOKEN=\"1\"\n");
        let environment = Rendering::new(sealed(), vec![(DOTENV, sealed())]);
        let steps = fallback_steps(&Facts::default(), &service("auth"), &generation(), &environment);
        let ids: Vec<&str> = steps.iter().map(|step| step.id.as_str()).collect();
        let whole = [
            "bring-back",
            "run-back",
            "environment-back",
            "dotenv-back",
            "unit-back",
            "reload-back",
            "switch-back",
        ];
        assert_eq!(ids, [&whole[..], &["start-back", "health-check-back"]].concat());
        let switch = steps.iter().find(|step| step.id.as_str() == "switch-back").unwrap();
        let needs: Vec<&str> = switch.needs.iter().map(|need| need.as_str()).collect();
        assert_eq!(needs, ["bring-back", "reload-back", "environment-back", "dotenv-back"]);
    }
}
