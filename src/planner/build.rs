//! Steps that make a release: checkout, runtimes, install and build commands, and links to the files outside of it. All
//! commands run as the build user, without the secret.

use std::path::PathBuf;

use super::draft::Draft;
use super::finished::{record, uses};
use super::runtime::Recipe;
use super::steps::Steps;
use super::{Wanted, accounts, cache, hooks, imds, packages, registries, value_files, writable};
use crate::error::Result;
use crate::facts::{OwnManifest, Seconds};
use crate::fault::Phase;
use crate::plan::environment::EnvCopy;
use crate::plan::layout::{self, Layout};
use crate::plan::*;

/// Adds the checkout, the runtimes, and the recipe's commands.
pub fn build(steps: &mut Steps, draft: &Draft) -> Result<()> {
    let Draft { wanted, recipe, layout, .. } = draft;
    let release = draft.release();
    let record = record(release, layout);
    // No code of the repository may run before the rules for IMDS are loaded and tested: it could get the role's
    // credentials.
    let mut rules: Vec<&str> = imds::LAST.into_iter().filter(|id| steps.has(id)).collect();
    hooks::before_install(steps, draft, &rules, record.clone());
    rules.extend(Some(hooks::BEFORE_INSTALL).filter(|id| steps.has(id)));
    if cache::restore(steps, draft, &rules) {
        rules.push(cache::RESTORE);
    }
    let mut last = tree(steps, draft, &rules).to_owned();

    let mut ready = vec!["cache"];
    let runtimes = install_runtimes(steps, wanted, recipe, layout);
    ready.extend(runtimes.last().map(String::as_str));
    if scripts(steps, recipe) {
        ready.push("script");
    }
    let first: Vec<&str> =
        runtimes.last().map(String::as_str).into_iter().chain(rules.iter().copied()).collect();
    let packages = packages::install(steps, wanted, recipe)?.then_some("packages");
    let tools = install_tools(steps, recipe, &first, packages);
    ready.extend(tools.iter().map(String::as_str));
    ready.extend(packages);
    for part in recipe.parts() {
        last = commands(steps, draft, part, (&last, &ready));
    }
    steps.built_by(&last);
    Ok(())
}

/// Adds the commands of one directory. Returns the last step's id.
fn commands(steps: &mut Steps, draft: &Draft, part: &Recipe, (last, ready): (&str, &[&str])) -> String {
    let Draft { wanted, layout, .. } = draft;
    let (release, mut last) = (draft.release(), last.to_owned());
    let mut environment = part.build_environment.clone();
    environment.extend(part.network(wanted.selection));
    environment.insert("PATH".to_owned(), part.search_path(release));
    if part.keeps_home {
        environment.insert("HOME".to_owned(), layout::build_home(release).display().to_string());
    }
    let access = registries::access(draft, part);
    environment.extend(access.iter().flat_map(registries::placeholders));
    for work in &part.work {
        let access = access.clone().filter(|_| registries::installs(work));
        let through = |access| registries::environment(part, access, &wanted.selection.mirrors);
        let mut environment = environment.clone();
        environment.extend(access.as_ref().map(through).into_iter().flatten());
        let command = Command {
            unit: layout.transient(&work.name),
            argv: work.argv.clone(),
            user: layout.build_user(),
            group: layout.build_user(),
            directory: part.tree_of(&work.name, release),
            environment,
            sandbox: Sandbox {
                writable: vec![release.to_owned(), layout.cache()],
                hidden: vec![layout::RUN.into(), layout.data()],
            },
            registries: access,
            done_by: record(release, layout),
            own_installer: work.own_installer.clone(),
        };
        let restored = cache::restore_packages(steps, draft, (part, work), &last);
        steps
            .add(&work.name, &work.why, Action::RunCommand(command))
            .after(&[&last])
            .after(ready)
            .after(&restored.iter().map(String::as_str).collect::<Vec<_>>())
            .within(work.phase)
            .lasting(limit(work.phase, wanted.selection.budget));
        cache::store_packages(steps, draft, part, work);
        last = work.name.clone();
    }
    last
}

/// More than the usual time, if the operator gives the whole run more: a build can be slow on a small instance.
fn limit(phase: Phase, budget: Seconds) -> Seconds {
    Seconds(phase.seconds().0.max(budget.0 / 3 * 2))
}

/// Adds bootagent's own scripts that the build runs. Returns whether there are any.
fn scripts(steps: &mut Steps, recipe: &Recipe) -> bool {
    let mut written: Vec<&PathBuf> = Vec::new();
    for (path, text) in recipe.scripts() {
        if written.contains(&path) {
            continue;
        }
        written.push(path);
        let why = "a script of bootagent that the build runs";
        if let Some(directory) = path.parent() {
            steps
                .directory("scripts", why, directory.to_owned(), Owner::root(), 0o755)
                .after(&["remove-leftovers"]);
        }
        steps.file("script", why, path.clone(), text.to_owned(), 0o644).after(&["scripts"]);
    }
    !written.is_empty()
}

/// Adds the package managers that the commits' directories ask for. Versions of one manager are installed one after the other,
/// because they have one unit; one that pip installs after the OS packages, which may bring Python. Returns the ids of the steps.
fn install_tools(steps: &mut Steps, recipe: &Recipe, first: &[&str], packages: Option<&str>) -> Vec<String> {
    let why = "the package manager in the version that the commit asks for, once for this machine";
    let mut done: Vec<(String, &InstallTool)> = Vec::new();
    for tool in recipe.tools() {
        if done.iter().any(|(_, other)| other.path == tool.path) {
            continue;
        }
        let before = done.iter().rev().find(|(_, other)| other.name == tool.name).map(|(id, _)| id.as_str());
        let id = unused(steps, &tool.name);
        let packages = packages.filter(|_| !tool.is_by_npm());
        let after: Vec<&str> = first.iter().copied().chain(packages).chain(before).collect();
        steps.tool(&id, tool, why, &after);
        done.push((id, tool));
    }
    done.into_iter().map(|(id, _)| id).collect()
}

/// This id, with a number if a step has it.
fn unused(steps: &Steps, id: &str) -> String {
    let numbered = (2..).map(|number| format!("{id}-{number}"));
    std::iter::once(id.to_owned()).chain(numbered).find(|id| !steps.has(id)).unwrap_or_default()
}

/// Adds the files of the release: the commit's, or the manifest alone of a service without a repository. Returns the last
/// step's id.
fn tree(steps: &mut Steps, draft: &Draft, rules: &[&str]) -> &'static str {
    let Draft { wanted, layout, .. } = draft;
    let release = draft.release();
    if let Some(text) = wanted.source.text(OwnManifest::NAME).filter(|_| wanted.source.is_manifest) {
        let why = "the service has no repository: its release is its manifest";
        steps
            .directory("release", why, release.to_owned(), Owner::root(), 0o755)
            .after(&["remove-leftovers", "releases", "build-user", "user"])
            .after(rules);
        steps
            .file("manifest", why, release.join(OwnManifest::NAME), text.to_owned(), 0o644)
            .after(&["release"]);
        return "manifest";
    }
    let checkout = Checkout {
        repository: wanted.source.repository.clone(),
        branch: wanted.source.branch.clone(),
        commit: wanted.source.commit.clone(),
        release: release.to_owned(),
        record: record(release, layout),
        user: layout.build_user(),
        group: layout.user().to_owned(),
        unit: layout.transient("checkout"),
    };
    steps
        .add("checkout", "the commit's files, written by the build user", Action::CheckOut(checkout))
        .after(&["remove-leftovers", "releases", "build-user", "user"])
        .after(rules)
        .within(Phase::Checkout);
    "checkout"
}

/// Runtimes are installed at the same time as the checkout, but one after the other: all are unpacked in the same
/// directory. Returns the ids of the steps.
fn install_runtimes(steps: &mut Steps, wanted: &Wanted, recipe: &Recipe, layout: &Layout) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    let mut known: Vec<&Archive> = Vec::new();
    for archive in recipe.archives() {
        if known.contains(&archive) {
            continue;
        }
        known.push(archive);
        let install = InstallRuntime {
            archive: archive.clone(),
            unit: layout.transient("runtime"),
            network: wanted.selection.network.clone(),
        };
        let id = match done.is_empty() {
            true => "runtime".to_owned(),
            false => unused(steps, &format!("runtime-{}", archive.runtime)),
        };
        let before =
            if steps.has(hooks::BEFORE_INSTALL) { hooks::BEFORE_INSTALL } else { "remove-leftovers" };
        let first = done.last().map_or(before, String::as_str);
        steps
            .add(&id, "the machine does not have the requested version", Action::InstallRuntime(install))
            .after(&[first])
            .within(Phase::Runtime);
        steps.finished_by(&id);
        done.push(id);
    }
    done
}

/// Adds the links from the release to `.env` and to the persistent directories.
pub fn link(steps: &mut Steps, draft: &Draft) {
    let Draft { rendering, layout, recipe, .. } = draft;
    let tree = recipe.tree(draft.release());
    let built = steps.built();
    for (file, _) in rendering.others() {
        let Some(link) = file.link else { continue };
        let (id, why) = (format!("{}-link", file.step), format!("{link} is a link to a file in memory"));
        let path = layout.env_file(EnvCopy::Serving, file);
        steps.displace(&id, &why, tree.join(link), path).after(&[&built]);
        steps.finished_by(&id);
    }
    value_files::link(steps, draft);
    for (index, persistent) in accounts::kept(draft.wanted.manifest, recipe).into_iter().enumerate() {
        let id = format!("persist-link-{}", index + 1);
        let why = "leads from the release to the persistent directory";
        steps.displace(&id, why, tree.join(persistent), layout.data().join(persistent)).after(&[&built]);
        steps.finished_by(&id);
    }
    writable::give(steps, draft);
}

/// Adds the step that makes the release complete.
/// The runtimes and tools that it needs are kept as long as it is.
pub fn finish(steps: &mut Steps, draft: &Draft) {
    let (release, layout) = (draft.release(), &draft.layout);
    let uses = uses(draft);
    let needs = steps.before_finish();
    let action = Action::FinishRelease { release: release.to_owned(), record: record(release, layout), uses };
    steps
        .add("finish", "the release is flushed to disk before anything points to it", action)
        .needing(needs)
        .within(Phase::Tidy)
        .marks(Mark::Whole);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_budget_gives_a_build_more_time() {
        for (budget, most) in [(60, 600), (900, 600), (2400, 1600), (3600, 2400)] {
            assert_eq!(limit(Phase::Build, Seconds(budget)), Seconds(most));
        }
    }
}
