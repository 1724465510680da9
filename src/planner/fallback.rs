//! What a boot may start when it cannot make what it wants: the deployment that passed last on this instance, as it
//! is recorded. Pure; the one place that decides it.

use super::build::aside;
use super::records::good_of;
use super::running::ensure_running;
use super::steps::Steps;
use super::{environment, health};
use crate::error::Code;
use crate::facts::{Facts, Generation, Good, Service, ServiceFile, Supervised};
use crate::fault::Phase;
use crate::plan::layout::Layout;
use crate::plan::{Action, EnsureRunning, Mark, Owner, Rendering, Step, StepId};

/// Whether a run that ended so may start what was good. Not after a word of the operator's or of the policy's: a refusal
/// means this service, too, and rules that are not loaded would not hide instance metadata from it.
pub fn may_start_after(code: Code) -> bool {
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

/// What was good on this instance: of the service that it decided for, or else of the only one. Of a machine that does
/// not know which instance it is, only what passed in this very boot.
pub fn to_start<'a>(
    facts: &'a Facts,
    decided: Option<&Service>,
    passed_in_this_boot: impl Fn(&Service) -> bool,
) -> Option<(&'a Service, &'a Good)> {
    let is_ours = |service: &Service| match facts.instance {
        Some(_) => good_of(facts, service).is_some(),
        None => passed_in_this_boot(service),
    };
    // An operator's word counts also where the run ended before it was looked at.
    let may_run = |service: &Service| {
        facts.operator.hold.is_none() && !facts.operator.masked.contains(&Layout::new(service).unit())
    };
    let mut ours = facts.good.iter().filter(|(service, _)| is_ours(service) && may_run(service));
    match decided {
        Some(decided) => ours.find(|(service, _)| *service == decided),
        None => ours.next().filter(|_| ours.next().is_none()),
    }
}

/// The steps that start a recorded deployment, whole: its unit, its release, its environment, and its health check.
pub fn start(
    steps: &mut Steps,
    good: &Generation,
    environment: Option<&Rendering>,
    ready: &[String],
    layout: &Layout,
) {
    let why = "the last healthy deployment";
    let mut ready: Vec<&str> = ready.iter().map(String::as_str).chain(["reload-back"]).collect();
    let written;
    if let Some(rendering) = environment {
        // After a reboot it is not there yet.
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
    let reload = Action::ReloadUnit { unit: layout.unit() };
    let files = files.into_iter().map(StepId::new).collect();
    steps.add("reload-back", why, reload).needing(files).within(Phase::Reload);
    steps.link("switch-back", why, layout.current(), good.release.clone()).after(&ready);
    // It passed before with a start: what a reload would take over from the one that failed is not known.
    let start =
        Action::EnsureRunning(EnsureRunning { reloads: Vec::new(), ..ensure_running(&good.runs_by, layout) });
    steps.add("start-back", why, start).after(&["switch-back"]).within(Phase::Start).marks(Mark::BackStarted);
    health::await_gate(steps, "health-check-back", "it serves again", &good.gate)
        .after(&["start-back"])
        .marks(Mark::BackServing);
}

/// Files of a generation that the one which is put to run in its place has not.
pub fn remove_files(steps: &mut Steps, of: &Supervised, but: &Supervised, needs: &[&str]) -> Vec<String> {
    let stays = |file: &&ServiceFile| but.files.iter().any(|other| other.path == file.path);
    let mut ids = Vec::new();
    for file in of.files.iter().filter(|file| !stays(file)) {
        let id = format!("remove-{}", file.name);
        let why = "this generation has none: the other one's must go";
        steps.add(&id, why, Action::RemoveFile { path: file.path.clone() }).after(needs);
        ids.push(id);
    }
    ids
}

/// The same by itself, of a run that has no plan.
pub fn start_good(service: &Service, good: &Generation, environment: &Rendering) -> Vec<Step> {
    let (mut steps, layout) = (Steps::default(), Layout::new(service));
    let back = Action::BringBack(aside(good, &layout));
    let why = "a run that was killed while it built the release once more left it aside";
    steps.add("bring-back", why, back).within(Phase::Tidy);
    start(&mut steps, good, Some(environment), &["bring-back".to_owned()], &layout);
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
    fn what_was_good_on_this_instance_is_started() {
        let two = facts(Some("i-1"), &[("auth", "i-1"), ("cart", "i-1")]);
        assert_eq!(started(&two, Some("cart"), false).as_deref(), Some("cart"));
        let one = facts(Some("i-1"), &[("auth", "i-1"), ("cart", "i-0")]);
        assert_eq!(started(&one, None, false).as_deref(), Some("auth"));
        let nowhere = facts(None, &[("auth", "i-1")]);
        assert_eq!(started(&nowhere, None, true).as_deref(), Some("auth"));
    }

    #[test]
    fn what_was_good_elsewhere_or_is_ambiguous_is_not() {
        let baked = facts(Some("i-2"), &[("auth", "i-1")]);
        assert_eq!(started(&baked, Some("auth"), true), None);
        let two = facts(Some("i-1"), &[("auth", "i-1"), ("cart", "i-1")]);
        assert_eq!(started(&two, None, false), None);
        assert_eq!(started(&two, Some("mail"), false), None);
        assert_eq!(started(&facts(None, &[("auth", "i-1")]), None, false), None);
    }

    #[test]
    fn what_an_operator_masked_or_held_is_not() {
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
    fn a_refusal_is_no_reason_to_start_anything() {
        for code in
            [Code::PolicyRefused, Code::UnitMasked, Code::Held, Code::Usage, Code::Cancelled, Code::ImdsRules]
        {
            assert!(!may_start_after(code), "{code:?}");
        }
        for code in [Code::GitUnreachable, Code::SecretDenied, Code::PolicyInvalid, Code::RuntimeMissing] {
            assert!(may_start_after(code), "{code:?}");
        }
    }

    #[test]
    fn a_deployment_brings_its_files_back_and_another_ones_go() {
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
        start(&mut steps, &good, None, &removed, &Layout::new(&service("auth")));
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
    fn a_deployment_is_started_whole() {
        let sealed = || Sealed::new(vec!["TOKEN".to_owned()], "TOKEN=\"1\"\n");
        let environment = Rendering::new(sealed(), vec![(DOTENV, sealed())]);
        let steps = start_good(&service("auth"), &generation(), &environment);
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
