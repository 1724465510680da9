//! A plan as text for people. Writes no secret value: only names of variables.

mod cache;
mod container;
mod data;
mod health;
mod packages;
mod sign;
mod upkeep;
mod words;

use std::fmt::Write;

use super::*;
use crate::secret::Sealed;
use sign::sign;
pub(super) use words::printable;
use words::{file, words};

/// What to show of a plan.
#[derive(Clone, Copy, Default)]
pub struct Shown<'a> {
    /// One for each of the plan's `steps`. `None` if the machine was not checked (`--facts`).
    pub previews: Option<&'a [Preview]>,
    /// Show also steps that change nothing, details of recovery steps, and environments that an earlier step shows.
    pub all: bool,
}

const OWN_INSTALLER: &str =
    "by bootagent's own installer, which starts npm only for what only npm is certain of";
const LEGEND: &str = "+ create, ~ change, > run, - remove, = unchanged";

/// Everything that a run would do, in order.
pub fn text(plan: &Plan, shown: Shown) -> String {
    let mut out = String::new();
    let sum = match shown.previews {
        Some(previews) => Summary::of(plan, previews).to_string(),
        None => format!("{} steps", plan.steps.len()),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{} ({}) at {}: {sum}", plan.service, plan.environment, plan.commit);
    let _ = writeln!(out, "\nSettings");
    let wide = plan.settings.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
    for setting in &plan.settings {
        let _ =
            writeln!(out, "  {:wide$}  {}  ({})", setting.name, printable(&setting.value), setting.origin);
    }
    if !plan.notes.is_empty() {
        let _ = writeln!(out, "\nNotes");
        for note in &plan.notes {
            let _ = writeln!(out, "  {}", printable(note));
        }
    }
    let _ = writeln!(out, "\nPlan, within {} ({LEGEND})", plan.budget);
    steps(&mut out, plan, shown);
    if let Some(keepalive) = &plan.keepalive {
        let Keepalive { every, .. } = keepalive;
        let _ = writeln!(out, "\nWhile these steps run, at once and then every {every}");
        let _ = writeln!(out, "> {}; one that fails is only logged", keepalive.headline());
    }
    if let Some(at) = &plan.report {
        let _ = writeln!(out, "\nAt its end, also after a failure\n+ write the report to {at}");
    }
    if !plan.rebuild.is_empty() {
        let _ =
            writeln!(out, "\nIf the release is not healthy, but was before this boot: rebuilt once, after");
        each(&mut out, &plan.rebuild, shown);
    }
    let _ = writeln!(out, "\nIf it fails");
    each(&mut out, &plan.recover, shown);
    if let Some(hooks) = &plan.after_failure {
        let _ = writeln!(out, "> {}; a failure of it is only noted", hooks.headline());
    }
    if !plan.room.is_empty() {
        let _ = writeln!(out, "\nIf the disk is full while it builds, once");
        each(&mut out, &plan.room, shown);
    }
    if !plan.only_on_an_instance.is_empty() {
        let ids: Vec<&str> = plan.only_on_an_instance.iter().map(StepId::as_str).collect();
        let _ = writeln!(out, "\nOnly an instance has these steps: {}", ids.join(", "));
    }
    out
}

fn steps(out: &mut String, plan: &Plan, shown: Shown) {
    let mut first_command: Option<(&StepId, &Command)> = None;
    let mut unchanged = 0;
    for (index, step) in plan.steps.iter().enumerate() {
        let preview = shown.previews.and_then(|previews| previews.get(index));
        if preview.is_some_and(|preview| preview.already) && !shown.all {
            unchanged += 1;
            continue;
        }
        show(out, step, preview, first_command.filter(|_| !shown.all));
        if let Action::RunCommand(command) = &step.action {
            first_command = first_command.or(Some((&step.id, command)));
        }
    }
    if unchanged > 0 {
        let _ = writeln!(out, "= {unchanged} more, which change nothing: -v shows them");
    }
}

fn first_line(out: &mut String, step: &Step, preview: Option<&Preview>) {
    let _ = writeln!(out, "{} {}: {}", sign(&step.action, preview), step.id, headline(&step.action));
}

/// Steps of a recovery. They have no previews: the state of the machine after a failure is not known before it.
fn each(out: &mut String, steps: &[Step], shown: Shown) {
    for step in steps {
        match shown.all {
            true => show(out, step, None, None),
            false => first_line(out, step, None),
        }
    }
}

/// `before`: an earlier command. If its environment is the same, it is not shown again.
fn show(out: &mut String, step: &Step, preview: Option<&Preview>, before: Option<(&StepId, &Command)>) {
    first_line(out, step, preview);
    let _ = writeln!(out, "    why: {}", step.why);
    match preview {
        Some(preview) if preview.already => {
            let _ = writeln!(out, "    already so");
            return;
        }
        Some(preview) => {
            let _ = writeln!(out, "    now: {}", printable(&preview.how));
        }
        None => {}
    }
    details(out, &step.action, before);
}

/// The step in one line.
pub fn headline(action: &Action) -> String {
    match action {
        Action::CreateUser { name, .. } => format!("create user {name}"),
        Action::MakeDirectory { path, owner, mode } => {
            format!("make directory {} ({owner}, {mode})", path.display())
        }
        Action::WriteFile { path, owner, mode, .. } => format!("write {} ({owner}, {mode})", path.display()),
        Action::RemoveFile { path } => format!("remove {} if it is there", path.display()),
        Action::InstallAgent { path } => format!("install bootagent as {}", path.display()),
        Action::RestoreRelease(cached) => cache::restore(cached),
        Action::StoreRelease(cached) => cache::store(cached),
        Action::RestorePackages(_) => {
            "take the packages of the lockfile from the release cache, if it has them".to_owned()
        }
        Action::StorePackages(cached) => cache::store_packages(cached),
        Action::CheckOut(checkout) => {
            format!("check out {} into {}", checkout.commit, checkout.release.display())
        }
        Action::InstallRuntime(InstallRuntime { archive, .. }) => {
            format!("install {} {} as {}", archive.runtime, archive.version, archive.path.display())
        }
        Action::InstallTool(tool) => {
            format!("install {} {} as {}", tool.name, tool.version, tool.path.display())
        }
        Action::Evaluate(evaluation) => format!("evaluate {}", words(std::slice::from_ref(&evaluation.file))),
        Action::LoadImdsRules(rules) => {
            let others = rules.users.iter().chain(&rules.service).map(String::as_str);
            let all: Vec<&str> = std::iter::once("root").chain(others).collect();
            format!("let only {} reach instance metadata", all.join(", "))
        }
        Action::ProveImdsRules { .. } => "prove that no other user reaches instance metadata".to_owned(),
        Action::InstallPackages(packages) => format!("install packages {}", packages.names.join(", ")),
        Action::MakeSwap(swap) => upkeep::swap(swap),
        Action::LimitJournal(limit) => upkeep::journal(limit),
        Action::RestoreLabels(labels) => upkeep::labels(labels),
        Action::RunCommand(command) => format!("run {}", words(&command.argv)),
        Action::RunHooks(hooks) => hooks.headline(),
        Action::ConfigureEngine(engine) => container::engine(engine),
        Action::PrepareImage(image) => container::image(image),
        Action::PruneImages(prune) => {
            format!("remove all images {} but {}", prune.repository, prune.keep.len())
        }
        Action::GiveToService(give) => {
            let paths: Vec<String> = give.paths.iter().map(|path| path.display().to_string()).collect();
            format!("make {} writable for {}", paths.join(" and "), give.to)
        }
        Action::PublishSite(site) => {
            format!("serve {} of the release, by the link {}", site.roots.join(" or "), site.link.display())
        }
        Action::Migrate(migration) => {
            let lines: Vec<String> = migration.commands.iter().map(|argv| words(argv)).collect();
            format!("run {}", lines.join(", then "))
        }
        Action::InitializeData(first) => data::headline(first),
        Action::PrepareVolume(volume) => data::prepare(volume),
        Action::MountVolume(mount) => data::mount(mount),
        Action::FinishRelease { release, .. } => format!("finish {}", release.display()),
        Action::SwitchSymlink { path, target, .. } => {
            format!("link {} -> {}", path.display(), target.display())
        }
        Action::ReloadUnit { unit } => format!("reload systemd for {unit}"),
        Action::StopUnit { unit, .. } => format!("stop {unit}"),
        Action::StopContainer(stop) => {
            format!("stop {}, and remove the containers of {}", stop.unit, stop.name)
        }
        Action::StopLeftovers { units, .. } => {
            format!("stop {} if a killed run left any", units.join(" and "))
        }
        Action::EnsureRunning(ensure) => {
            format!("start {}, or restart it if it runs something else", ensure.unit)
        }
        Action::AwaitHealth(wait) => format!("wait until {} is healthy", wait.gate.unit),
        Action::AwaitAddresses { addresses, within } => {
            format!("wait until {} accept connections, within {within}", addresses.join(", "))
        }
        Action::DiscardUnfinished { release, .. } => {
            format!("remove {} unless it is finished", release.display())
        }
        Action::SetAside(aside) => {
            format!("set {} aside as {}", aside.release.display(), aside.aside.display())
        }
        Action::BringBack(aside) => {
            format!("bring {} back if nothing was built in its place", aside.release.display())
        }
        Action::ArrangeRetry { unit, after, .. } => format!("start {unit} again in {after}"),
        Action::CancelRetry { unit, timer } => {
            format!("stop {timer}.timer if it is there, and {unit} if it waits to be started again")
        }
        Action::PruneReleases(prune) => {
            format!("remove all releases but {} under {}", prune.keep.len(), prune.releases.display())
        }
        Action::BoundCache(bound) => {
            format!("empty {} if it is over {} MiB", bound.path.display(), bound.most_mib)
        }
        Action::PruneRuntimes(prune) => {
            format!("remove installed versions of {} that no release uses", prune.runtime)
        }
        Action::Signal(signal) => signal.headline(),
        Action::SignalStack(signal) => signal.headline(),
        Action::PutEvidence(put) => format!("write the end of the run to the log group {}", put.group),
        Action::PutObject(put) => format!("write {}", put.at),
        Action::PutBundle(put) => format!("write {} if it is absent", put.at),
        Action::StartRefresh(start) => format!("replace the instances of {}", printable(&start.group)),
        Action::CancelRefresh(cancel) => {
            format!("stop replacing the instances of {}", printable(&cancel.group))
        }
    }
}

fn details(out: &mut String, action: &Action, before: Option<(&StepId, &Command)>) {
    let mut line = |text: String| {
        let _ = writeln!(out, "    {text}");
    };
    match action {
        Action::WriteFile { content: Content::Text(text), .. } => file(text).for_each(line),
        Action::WriteFile { content: Content::Sealed(content), .. } => line(format!("| {}", sealed(content))),
        Action::RestoreRelease(cached) => cache::lines(cached).into_iter().for_each(line),
        Action::RestorePackages(cached) => cache::packages(cached).into_iter().for_each(line),
        Action::CheckOut(checkout) => {
            line(format!("as {} from {} ({})", checkout.user, checkout.repository, checkout.branch))
        }
        Action::InstallRuntime(InstallRuntime { archive, .. }) => {
            line(format!("from {}", printable(&archive.address)));
            line(match &archive.checksum {
                Checksum::Pinned(sha256) => format!("sha256 {sha256}, as the policy pins it"),
                Checksum::Listed(address) => format!("sha256 as {} says", printable(address)),
            });
            line(format!("without {}", archive.leave_out.join(", ")));
        }
        Action::InstallTool(tool) => {
            line(format!("by {} as {}, without secrets and without IMDS", words(&tool.argv), tool.user));
            if tool.own_installer.is_some() {
                line(OWN_INSTALLER.to_owned());
            }
            let files = tool.files.iter().map(|(name, text)| format!("{name} ({} bytes)", text.len()));
            line(format!("from files that bootagent ships: {}", files.collect::<Vec<_>>().join(", ")));
            line("may write: the new directory and a private /tmp".to_owned());
            if let Some(FileHash { file, algorithm, hex, by }) = &tool.file_hash {
                line(format!("{file} must have the {} {hex} ({by})", algorithm.name()));
            }
            for (name, value) in &tool.environment {
                line(format!("{name}={}", printable(value)));
            }
        }
        Action::Evaluate(evaluation) => {
            line(format!("by {}", words(&evaluation.argv)));
            line(format!(
                "as {} in {}, without secrets and without IMDS; all files are read-only",
                evaluation.user,
                evaluation.directory.display()
            ));
            line(format!("its output is written to {}", evaluation.path.display()));
            for (name, value) in &evaluation.environment {
                line(format!("{name}={}", printable(value)));
            }
        }
        Action::LoadImdsRules(rules) => {
            line(format!("by {}, which {} loads at every boot", rules.file.display(), rules.unit));
            if let Some(service) = &rules.service {
                line(format!("{service} is included once it exists; every other user must exist"));
            }
        }
        Action::ProveImdsRules { unit } => line(format!("as a dynamic user, in {unit}")),
        Action::InstallPackages(packages) => packages::lines(packages).into_iter().for_each(&mut line),
        Action::LimitJournal(limit) => limit.text.iter().flat_map(|text| file(text)).for_each(&mut line),
        Action::RunCommand(command) => {
            line(format!(
                "as {} in {}, without secrets and without IMDS",
                command.user,
                command.directory.display()
            ));
            line(format!("may write: {}", paths(&command.sandbox.writable)));
            if command.own_installer.is_some() {
                line(OWN_INSTALLER.to_owned());
            }
            command.registries.iter().map(RegistryAccess::line).for_each(&mut line);
            match before.filter(|(_, before)| before.environment == command.environment) {
                Some((id, _)) => line(format!("with the environment of {id}")),
                None => {
                    for (name, value) in &command.environment {
                        line(format!("{name}={}", printable(value)));
                    }
                }
            }
        }
        Action::Migrate(migration) => {
            let imds = if migration.may_use_imds { "with IMDS" } else { "without IMDS" };
            line(format!(
                "as {} in {}, hardened like the service, {imds}",
                migration.user,
                migration.directory.display()
            ));
            line(format!("may write: {}", paths(&migration.writable)));
            line(format!("| {}", sealed(&migration.variables)));
            for (name, value) in &migration.environment {
                line(format!("{name}={}", printable(value)));
            }
            line(format!("once: skipped if {} records it", migration.record.path.display()));
        }
        Action::RunHooks(hooks) => hooks.lines().into_iter().for_each(line),
        Action::InitializeData(first) => data::lines(first).into_iter().for_each(line),
        Action::ConfigureEngine(engine) => container::engine_lines(engine).into_iter().for_each(line),
        Action::PrepareImage(image) => container::image_lines(image).into_iter().for_each(line),
        Action::PruneImages(prune) => line(format!("keeps: {}", prune.keep.join(", "))),
        Action::PublishSite(site) => {
            line("the first of these directories with an index.html".to_owned());
            let names = site.confidential.names();
            if !names.is_empty() {
                line(format!("fails if a file has the value of one of: {}", names.join(", ")));
            }
        }
        Action::EnsureRunning(ensure) => {
            line(format!("depends on: {}", paths(&ensure.inputs)));
            if !ensure.reloads.is_empty() {
                line(format!("reloaded instead if only {} changed", paths(&ensure.reloads)));
            }
        }
        Action::AwaitHealth(wait) => health::lines(wait).into_iter().for_each(line),
        Action::StopLeftovers { scratch, .. } => {
            line(format!("and remove: {}", paths(scratch)));
            line("also what killed dry runs fetched".to_owned());
        }
        Action::StopUnit { scratch, .. } if !scratch.is_empty() => {
            line(format!("and remove: {}", paths(scratch)))
        }
        Action::PruneReleases(prune) => line(format!("keeps: {}", prune.keep.join(", "))),
        Action::Signal(signal) => line(signal.detail()),
        _ => {}
    }
}

fn paths(paths: &[std::path::PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn sealed(content: &Sealed) -> String {
    format!("{} redacted values: {}", content.keys().len(), content.keys().join(", "))
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.user, self.group)
    }
}
