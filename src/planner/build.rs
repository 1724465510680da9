//! A release in the making: the commit's files, what the recipe makes of them, and links to what
//! outlives it.

use std::path::{Path, PathBuf};

use super::runtime::Recipe;
use super::steps::Steps;
use super::{Wanted, imds, network, packages};
use crate::error::Result;
use crate::facts::Generation;
use crate::fault::Slice;
use crate::observe::manifest::Manifest;
use crate::plan::environment::EnvCopy;
use crate::plan::layout::{self, Layout};
use crate::plan::*;

/// The commit's files and what the recipe makes of them, as the build user.
pub fn build(
    steps: &mut Steps,
    wanted: &Wanted,
    recipe: &Recipe,
    release: &Path,
    layout: &Layout,
) -> Result<()> {
    let record = record(release, layout);
    let checkout = Checkout {
        repository: wanted.source.repository.clone(),
        branch: wanted.source.branch.clone(),
        commit: wanted.source.commit.clone(),
        release: release.to_owned(),
        record: record.clone(),
        user: layout.build_user(),
        group: layout.user().to_owned(),
        unit: layout.transient("checkout"),
    };
    // Everything of the repository comes after it.
    let wall: Vec<&str> = imds::LAST.into_iter().filter(|id| steps.has(id)).collect();
    steps
        .add("checkout", "the commit's files, written by the build user", Action::CheckOut(checkout))
        .after(&["leftovers", "releases", "build-user", "user"])
        .after(&wall)
        .within(Slice::Checkout);

    let mut ready = vec!["cache"];
    if let Some(archive) = &recipe.archive {
        install_runtime(steps, wanted, archive, layout);
        ready.push("runtime");
    }
    if packages::install(steps, wanted)? {
        ready.push("packages");
    }
    let mut environment = recipe.build_environment.clone();
    environment.extend(network::environment(&wanted.selection.network, &wanted.selection.mirrors));
    environment.insert("PATH".to_owned(), recipe.search_path(release));
    let mut last = "checkout".to_owned();
    for work in &recipe.work {
        let command = Command {
            unit: layout.transient(&work.name),
            argv: work.argv.clone(),
            user: layout.build_user(),
            group: layout.build_user(),
            directory: release.to_owned(),
            environment: environment.clone(),
            sandbox: Sandbox {
                writable: vec![release.to_owned(), layout.cache()],
                hidden: vec![layout::RUN.into(), layout.data()],
            },
            done_by: record.clone(),
        };
        steps
            .add(&work.name, &work.why, Action::RunCommand(command))
            .after(&[&last])
            .after(&ready)
            .within(work.slice);
        last = work.name.clone();
    }
    steps.built_by(&last);
    Ok(())
}

/// Beside the checkout: neither needs the other.
fn install_runtime(steps: &mut Steps, wanted: &Wanted, archive: &Archive, layout: &Layout) {
    let install = InstallRuntime {
        archive: archive.clone(),
        unit: layout.transient("runtime"),
        network: wanted.selection.network.clone(),
    };
    steps
        .add("runtime", "no runtime of this machine is what is asked for", Action::InstallRuntime(install))
        .after(&["leftovers"])
        .within(Slice::Runtime);
    steps.finished_by("runtime");
}

pub fn record(release: &Path, layout: &Layout) -> PathBuf {
    layout.finished().join(release.file_name().unwrap_or_default())
}

/// Where a release that passed stands while it is built once more.
pub fn aside(generation: &Generation, layout: &Layout) -> Aside {
    Aside {
        release: generation.release.clone(),
        record: record(&generation.release, layout),
        aside: layout.aside(&generation.release),
    }
}

/// Links from the release to what outlives it.
pub fn link(steps: &mut Steps, manifest: &Manifest, rendering: &Rendering, release: &Path, layout: &Layout) {
    let built = steps.built();
    for (file, _) in rendering.others() {
        let Some(link) = file.link else { continue };
        let (id, why) =
            (format!("{}-link", file.step), format!("{link} stands in memory, not in the release"));
        let path = layout.env_file(EnvCopy::Serving, file);
        steps.displace(&id, &why, release.join(link), path).after(&[&built]);
        steps.finished_by(&id);
    }
    for (index, persistent) in manifest.persist.iter().enumerate() {
        let id = format!("persist-link-{}", index + 1);
        let why = "the persistent directory, seen from the release";
        steps.displace(&id, why, release.join(persistent), layout.data().join(persistent)).after(&[&built]);
        steps.finished_by(&id);
    }
}

/// `uses` must stay as long as the release does.
pub fn finish(steps: &mut Steps, uses: Vec<PathBuf>, release: &Path, layout: &Layout) {
    let needs = steps.before_finish();
    let action = Action::FinishRelease { release: release.to_owned(), record: record(release, layout), uses };
    steps
        .add("finish", "a release is whole on disk before anything points to it", action)
        .needing(needs)
        .within(Slice::Tidy)
        .marks(Mark::Whole);
}
