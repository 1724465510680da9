//! Paths of the release that the service may change (`writable`): the refusals, and the step that gives them to its user. Each release has the repository's content there; what a service changed does not follow it to the next.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::finished::record;
use super::persist::{is_within, itself_and_above};
use super::runtime::{Kind, Recipe};
use super::steps::Steps;
use crate::error::{Code, Error, Result};
use crate::facts::{EntryKind, Source};
use crate::observe::manifest::Manifest;
use crate::plan::{Action, GiveToService};

/// Fails for a path that is a link, has a directory with programs in it, or one that bootagent itself replaces by a link.
pub fn refuse(source: &Source, manifest: &Manifest, recipe: &Recipe) -> Result<()> {
    if manifest.writable.is_empty() {
        return Ok(());
    }
    let links = source.entries.iter().filter(|entry| entry.kind == EntryKind::Symlink);
    let links: BTreeSet<&str> = links.map(|entry| entry.path.as_str()).collect();
    for path in &manifest.writable {
        let refused = |cause: String, remedy: &str| {
            let doing = format!("planning the writable path {path}");
            Err(Error::new(Code::ManifestInvalid, doing, cause).remedy(remedy))
        };
        if !matches!(recipe.kind, Kind::Program) {
            let cause = "no process of the service runs in the release".to_owned();
            return refused(cause, "remove writable from bootagent.toml");
        }
        if let Some(link) = itself_and_above(path).find(|at| links.contains(at)) {
            let cause = format!("{link} is a symbolic link of the repository");
            return refused(cause, "name the directory or file that it leads to");
        }
        let in_release = source.in_repository(path);
        let mut programs = recipe.parts().flat_map(|part| &part.programs);
        if programs.any(|programs| is_within(programs, &in_release)) {
            let cause = "the service's packages are installed there".to_owned();
            return refused(cause, "name a directory in it, such as node_modules/.cache");
        }
        if let Some(kept) = recipe.writes.iter().find(|kept| is_within(kept, path) || is_within(path, kept)) {
            let cause = format!("the framework's directory {kept} is writable already");
            return refused(cause, "remove it from writable, or name what is beside that directory");
        }
    }
    Ok(())
}

/// Adds the step that gives the paths to the service's user, when the build and its links are done.
pub fn give(steps: &mut Steps, draft: &Draft) {
    let Draft { recipe, layout, .. } = draft;
    let paths = recipe.writable_in(draft.release());
    if paths.is_empty() {
        return;
    }
    let give = GiveToService {
        paths,
        from: layout.build_user(),
        to: layout.user().to_owned(),
        release: draft.release().to_owned(),
        record: record(draft.release(), layout),
    };
    let built = steps.built();
    let why = "writable in the manifest: the service may change them until the next release";
    steps.add("writable", why, Action::GiveToService(give)).after(&[&built, "user"]);
    steps.finished_by("writable");
}
