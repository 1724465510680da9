//! Steps that create the service's users and directories. Adds steps only; checks of the names are in `names.rs`.

use super::draft::Draft;
use super::runtime::Recipe;
use super::steps::Steps;
use crate::observe::manifest::Manifest;
use crate::plan::layout::Layout;
use crate::plan::*;

pub fn create(steps: &mut Steps, draft: &Draft) {
    let Draft { wanted, layout, .. } = draft;
    let why = "records about the service, for root only";
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
        "runs the service; can read its release and environment, and change neither",
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
        .directory(
            "data",
            "the service's home, kept when releases change",
            layout.data(),
            service.clone(),
            0o750,
        )
        .after(&["user"]);
    for (id, persistent) in persistent(wanted.manifest, &draft.recipe) {
        let path = layout.data().join(persistent);
        let why = "persist in the manifest: kept when releases change";
        steps.directory(&id, why, path, service.clone(), 0o750).after(&["data"]);
    }
    steps
        .directory(
            "run",
            "the service's environment, in memory only",
            layout.run(),
            Owner::new("root", layout.user()),
            0o750,
        )
        .after(&["user"]);
}

/// The directories that are kept across releases, relative to the release: the manifest's, and those that the framework
/// writes to.
pub fn kept<'a>(manifest: &'a Manifest, recipe: &'a Recipe) -> Vec<&'a str> {
    let own = manifest.persist.iter().map(String::as_str);
    let more = recipe
        .writes
        .iter()
        .map(String::as_str)
        .filter(|path| !manifest.persist.iter().any(|own| own == path));
    own.chain(more).collect()
}

/// The same directories, each with the id of the step that makes it.
pub fn persistent<'a>(manifest: &'a Manifest, recipe: &'a Recipe) -> impl Iterator<Item = (String, &'a str)> {
    kept(manifest, recipe)
        .into_iter()
        .enumerate()
        .map(|(index, path)| (format!("persist-{}", index + 1), path))
}

/// A note, because most services write into their own directory elsewhere, and would fail here at their first upload.
pub fn may_write(manifest: &Manifest, layout: &Layout) -> String {
    let data = layout.data();
    let data = data.display();
    let kept = match manifest.persist.is_empty() {
        true => String::new(),
        false => format!("{} of its release (persistent), ", manifest.persist.join(", ")),
    };
    let changed = match manifest.writable.is_empty() {
        true => String::new(),
        false => format!("{} of its release (until the next one), ", manifest.writable.join(", ")),
    };
    format!(
        "the service may write to {kept}{changed}{data} (its HOME) and /tmp; the rest of its release is read-only"
    )
}
