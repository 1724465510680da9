//! Persistent directories: refusals, notes and hints. A link replaces each of them in the release (and `.env`), so that
//! the service does not see what the repository or an installer put there.

use std::collections::{BTreeMap, BTreeSet};

use super::runtime::Recipe;
use crate::error::{Code, Error, Result};
use crate::facts::{Entry, EntryKind, Source};
use crate::observe::manifest::Manifest;
use crate::secret::excerpt;

/// Fails if a persistent directory would replace a file of the repository, or the installed packages.
pub fn refuse(source: &Source, manifest: &Manifest, recipe: &Recipe) -> Result<()> {
    let entries: BTreeMap<&str, &Entry> =
        source.entries.iter().map(|entry| (entry.path.as_str(), entry)).collect();
    for persistent in &manifest.persist {
        let refused = |cause: String, remedy: &str| {
            let doing = format!("planning the persistent directory {persistent}");
            Err(Error::new(Code::ManifestInvalid, doing, cause).remedy(remedy))
        };
        if let Some(entry) = itself_and_above(persistent).find_map(|path| entries.get(path)) {
            let kind = if entry.kind == EntryKind::Symlink { "symbolic link" } else { "file" };
            let cause = format!("{} is a {kind} of the repository, where a directory must be", entry.path);
            return refused(
                cause,
                "name a directory that the service writes, or remove the file from the repository",
            );
        }
        let in_release = source.in_repository(persistent);
        let mut programs = recipe.parts().flat_map(|part| &part.programs);
        if programs.any(|programs| is_within(programs, &in_release)) {
            let cause = "the service's packages are installed there, separately for each release".to_owned();
            return refused(cause, "remove it from persist");
        }
    }
    Ok(())
}

/// Adds notes on files of the repository that the service will not see. If the commit comes from a record instead of a
/// fetch, only entries of the root directory are known.
pub fn notes(source: &Source, manifest: &Manifest, notes: &mut Vec<String>) {
    if manifest.env.file && source.has(".env") {
        notes.push(
            "the repository's own .env is not used: variables come from the secret and from env.values"
                .to_owned(),
        );
    }
    let persistent: BTreeSet<&str> = manifest.persist.iter().map(String::as_str).collect();
    // For each persistent directory, the first path that it hides, and the number of them.
    let mut hidden: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for entry in source.entries.iter().filter(|entry| !only_keeps_a_directory(&entry.path)) {
        let directory = itself_and_above(&entry.path).find_map(|path| persistent.get(path));
        let Some(directory) = directory else { continue };
        hidden.entry(directory).or_insert((&entry.path, 0)).1 += 1;
    }
    for persistent in &manifest.persist {
        let Some((first, count)) = hidden.get(persistent.as_str()) else { continue };
        let more = match count - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let first = excerpt(first);
        notes.push(format!(
            "the service does not see {first}{more} of the repository: persistent directory {persistent} replaces it"
        ));
    }
}

/// Directories that services usually write to, and that `persist` does not keep: of the root by their name alone; others,
/// and below the root, if the repository has nothing in them but a placeholder.
pub fn written<'a>(source: &'a Source, manifest: &Manifest, recipe: &Recipe) -> Vec<&'a str> {
    // Of a container `persist` is an error, and a database server has no repository.
    if recipe.container().is_some() || recipe.project().is_some() || recipe.data_host().is_some() {
        return Vec::new();
    }
    const AT_THE_ROOT: [&str; 3] = ["uploads", "logs", "tmp"];
    let at_the_root = AT_THE_ROOT.into_iter().filter(|name| source.has_directory(name));
    let mut found: BTreeSet<&str> = at_the_root.chain(placeholders(source)).collect();
    let named = || manifest.persist.iter().chain(&manifest.writable);
    found.retain(|name| !named().any(|kept| is_within(kept, name) || is_within(name, kept)));
    let is_outermost =
        |name: &&str| itself_and_above(name).all(|above| above == *name || !found.contains(above));
    found.iter().copied().filter(is_outermost).take(MOST_WRITTEN).collect()
}

/// A repository may have any number of such directories; a proposal is for a person.
const MOST_WRITTEN: usize = 10;

/// Directories with nothing in them but a placeholder, whose names say that a program writes there: `var/.gitignore`.
fn placeholders(source: &Source) -> impl Iterator<Item = &str> {
    const NAMES: [&str; 15] = [
        "uploads", "upload", "logs", "log", "tmp", "temp", "var", "data", "storage", "cache", "sessions",
        "media", "db", "database", "backups",
    ];
    let mut only: BTreeMap<&str, bool> = BTreeMap::new();
    for entry in &source.entries {
        let is_placeholder = only_keeps_a_directory(&entry.path);
        let above = itself_and_above(&entry.path).filter(|path| path.len() < entry.path.len()).take(2);
        above.for_each(|directory| *only.entry(directory).or_insert(true) &= is_placeholder);
    }
    let is_named = |path: &&str| path.rsplit('/').next().is_some_and(|name| NAMES.contains(&name));
    only.into_iter().filter(|(_, only)| *only).map(|(path, _)| path).filter(is_named)
}

/// For `bootagent validate`: signs that the service writes into its release, which is read-only, without a persistent
/// directory for it.
pub fn hints(source: &Source, manifest: &Manifest, recipe: &Recipe) -> Vec<String> {
    let mut hints: Vec<String> = written(source, manifest, recipe)
        .into_iter()
        .map(|name| {
            format!("{name}/ is read-only in a release: if the service writes there, persist = [\"{name}\"]")
        })
        .collect();
    if let Some(package) = recipe.stores_uploads.filter(|_| manifest.persist.is_empty()) {
        let how = match package {
            "@strapi/strapi" => "persist = [\"public/uploads\"] keeps them",
            _ => "add the upload directory to persist, or use /tmp",
        };
        hints.push(format!("{package} stores uploads, and a release is read-only: {how}"));
    }
    hints
}

/// A placeholder for an empty directory, which git cannot store.
fn only_keeps_a_directory(path: &str) -> bool {
    matches!(path.rsplit('/').next(), Some(".gitkeep" | ".keep" | ".gitignore"))
}

/// The directories above a path, and the path itself: `a`, `a/b` and `a/b/c`. For look-ups, because comparing each of a
/// large repository's paths with each persistent directory would be slow.
pub fn itself_and_above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(slash, _)| &path[..slash]).chain([path])
}

/// Whether a path is `outer` or below it.
pub fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
