//! What the release loses to the links that are put into it: its persistent directories, and `.env`.

use super::runtime::Recipe;
use crate::error::{Code, Error, Result};
use crate::facts::{Entry, EntryKind, Source};
use crate::observe::manifest::Manifest;
use crate::secret::excerpt;

/// What the service cannot do without is not taken from it: its files, and what was installed for it.
pub fn refuse(source: &Source, manifest: &Manifest, recipe: &Recipe) -> Result<()> {
    for persistent in &manifest.persist {
        let refused = |cause: String, remedy: &str| {
            let doing = format!("planning the persistent directory {persistent}");
            Err(Error::new(Code::ManifestInvalid, doing, cause).remedy(remedy))
        };
        if let Some(entry) = source.entries.iter().find(|entry| is_within(persistent, &entry.path)) {
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
    for persistent in &manifest.persist {
        let hides =
            |entry: &&Entry| is_within(&entry.path, persistent) && !only_keeps_a_directory(&entry.path);
        let mut hidden = source.entries.iter().filter(hides);
        let Some(first) = hidden.next() else { continue };
        let more = match hidden.count() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let first = excerpt(&first.path);
        notes.push(format!(
            "the service does not see {first}{more} of the repository: persist has {persistent} in its place"
        ));
    }
}

/// git has no empty directories: a file of such a name stands for one.
fn only_keeps_a_directory(path: &str) -> bool {
    matches!(path.rsplit('/').next(), Some(".gitkeep" | ".keep" | ".gitignore"))
}

/// Whether a path is `outer`, or below it.
fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
