//! The names, users and directories that are the service's own.

use super::draft::Draft;
use super::steps::Steps;
use crate::observe::manifest::Manifest;
use crate::plan::layout::Layout;
use crate::plan::*;

pub fn create(steps: &mut Steps, draft: &Draft) {
    let Draft { wanted, layout, .. } = draft;
    let why = "root's own records about the service";
    steps.directory("records", why, layout.finished(), Owner::root(), 0o700).after(&["state"]);
    steps
        .file(
            "ownership-marker",
            "marks the service's names as bootagent's",
            layout.claim(),
            format!("{}\n", layout.user()),
            0o600,
        )
        .after(&["records"]);
    let build_user = layout.build_user();
    steps.user(
        "build-user",
        "owns the releases and runs install scripts; sees no secret",
        &build_user,
        layout.cache(),
    );
    steps.user(
        "user",
        "the service's own: reads its release and environment, changes neither",
        layout.user(),
        layout.data(),
    );
    steps
        .directory("releases", "one directory for each release", layout.releases(), Owner::root(), 0o755)
        .after(&["ownership-marker"]);
    steps
        .directory(
            "cache",
            "home and package cache of the build user",
            layout.cache(),
            Owner::new(&build_user, &build_user),
            0o700,
        )
        .after(&["build-user"]);
    let service = Owner::new(layout.user(), layout.user());
    steps
        .directory("data", "what the service keeps over releases", layout.data(), service.clone(), 0o750)
        .after(&["user"]);
    for (id, persistent) in persistent(wanted.manifest) {
        let path = layout.data().join(persistent);
        let why = "kept over releases, as the manifest asks";
        steps.directory(&id, why, path, service.clone(), 0o750).after(&["data"]);
    }
    steps
        .directory(
            "run",
            "the rendered environment, in memory only",
            layout.run(),
            Owner::new("root", layout.user()),
            0o750,
        )
        .after(&["user"]);
}

/// The persistent directories, each with the step that makes it.
pub fn persistent(manifest: &Manifest) -> impl Iterator<Item = (String, &str)> {
    let named = manifest.persist.iter().enumerate();
    named.map(|(index, path)| (format!("persist-{}", index + 1), path.as_ref()))
}

/// Told before a service finds it out by its first upload.
pub fn may_write(manifest: &Manifest, layout: &Layout) -> String {
    let data = layout.data();
    let data = data.display();
    let kept = match manifest.persist.is_empty() {
        true => String::new(),
        false => format!("{} of its release, which it keeps, ", manifest.persist.join(", ")),
    };
    format!("the service may write to {kept}{data} (its HOME) and /tmp; the rest of its release is read-only")
}
