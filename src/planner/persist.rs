//! What the release loses to the links that are put into it: its persistent directories, and `.env`.

use std::collections::{BTreeMap, BTreeSet};

use super::runtime::Recipe;
use crate::error::{Code, Error, Result};
use crate::facts::{Entry, EntryKind, Source};
use crate::observe::manifest::Manifest;
use crate::secret::excerpt;

/// What the service cannot do without is not taken from it: its files, and what was installed for it.
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
                "name a directory that the service writes, or take the file out of the repository",
            );
        }
        if recipe.programs.iter().any(|programs| is_within(programs, persistent)) {
            let cause = "the service's packages are installed there, and belong to their release".to_owned();
            return refused(cause, "take it out of persist: packages are installed anew for each commit");
        }
    }
    Ok(())
}

/// What is in the repository and will not be seen. Of a decided commit only the root is known.
pub fn notes(source: &Source, manifest: &Manifest, notes: &mut Vec<String>) {
    if manifest.env.file && source.has(".env") {
        notes.push(
            "the repository's own .env is not used: variables come from the secret and from env.values"
                .to_owned(),
        );
    }
    let persistent: BTreeSet<&str> = manifest.persist.iter().map(String::as_str).collect();
    // Of each directory the first path that it hides, and how many there are.
    let mut hidden: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for entry in source.entries.iter().filter(|entry| !only_keeps_a_directory(&entry.path)) {
        let by = itself_and_above(&entry.path).find_map(|path| persistent.get(path));
        let Some(by) = by else { continue };
        hidden.entry(by).or_insert((&entry.path, 0)).1 += 1;
    }
    for persistent in &manifest.persist {
        let Some((first, count)) = hidden.get(persistent.as_str()) else { continue };
        let more = match count - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let first = excerpt(first);
        notes.push(format!(
            "the service does not see {first}{more} of the repository: persist has {persistent} in its place"
        ));
    }
}

/// Signs that the service writes into its release, which it may not, and that nothing in the manifest keeps.
pub fn hints(source: &Source, manifest: &Manifest, recipe: &Recipe) -> Vec<String> {
    const WRITTEN: [&str; 3] = ["uploads", "logs", "tmp"];
    let is_kept = |name: &str| manifest.persist.iter().any(|kept| is_within(kept, name));
    let mut hints: Vec<String> = WRITTEN
        .into_iter()
        .filter(|name| source.has_directory(name) && !is_kept(name))
        .map(|name| {
            format!("{name}/ is read-only in a release: if the service writes there, persist = [\"{name}\"]")
        })
        .collect();
    if let Some(package) = recipe.stores_uploads.filter(|_| manifest.persist.is_empty()) {
        hints.push(format!(
            "{package} stores uploads, and a release is read-only: name their directory in persist, or let it write \
             to /tmp"
        ));
    }
    hints
}

/// git has no empty directories: a file of such a name stands for one.
fn only_keeps_a_directory(path: &str) -> bool {
    matches!(path.rsplit('/').next(), Some(".gitkeep" | ".keep" | ".gitignore"))
}

/// `a/b/c`, `a` and `a/b`: a repository may have very many paths, so that each is looked up and none compared.
fn itself_and_above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(slash, _)| &path[..slash]).chain([path])
}

/// Whether a path is `outer`, or below it.
fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
