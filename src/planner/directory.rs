//! The directory of the repository that the service is in (`directory` in the manifest), and those that are built before it
//! (`build_first`). The planner sees the commit from each, as if it were the root. Pure.

use std::borrow::Cow;

use super::unmet::{Unmet, require_texts};
use crate::error::{Code, Error, Result};
use crate::facts::{EntryKind, HEAD, Source, requested};
use crate::observe::manifest::Manifest;
use crate::secret::excerpt;

/// Directories that an error names.
const NAMED: usize = 5;

/// The commit as the service sees it. Asks for the texts of the directories' files, of all at once: a fetch reads those of
/// the root, because the manifest, which names the directories, comes with it.
pub fn seen<'a>(source: &'a Source, manifest: &Manifest) -> Result<Cow<'a, Source>, Unmet> {
    let own = manifest.directory.as_deref();
    let first: Vec<&str> = manifest.build_first.iter().map(|first| first.directory.as_str()).collect();
    own.iter().try_for_each(|directory| refuse(source, directory, OWN))?;
    first.iter().try_for_each(|directory| refuse(source, directory, FIRST))?;
    // A record has the texts that the agent of its day read. A runtime asks for what else it needs.
    let is_unread = |directory: &&str| source.lists_everything() || !source.lists(directory);
    let unread = own.into_iter().chain(first.iter().copied()).filter(is_unread);
    let paths: Vec<String> = unread.flat_map(evidence).collect();
    require_texts(source, &paths.iter().map(String::as_str).collect::<Vec<_>>())?;
    let keeping = match first.is_empty() {
        true => Cow::Borrowed(source),
        false => Cow::Owned(source.keeping(first)),
    };
    Ok(own.map_or(keeping.clone(), |directory| Cow::Owned(keeping.seen_from(directory))))
}

const OWN: (&str, &str) = ("the service", "directory");
const FIRST: (&str, &str) = ("what is built first", "build_first");

/// The files of a directory whose text is read.
fn evidence(directory: &str) -> impl Iterator<Item = String> + use<'_> {
    super::evidence().into_iter().map(move |request| {
        let path = format!("{directory}/{}", requested(&request));
        if request.starts_with(HEAD) { format!("{HEAD}{path}") } else { path }
    })
}

fn refuse(source: &Source, directory: &str, (what, key): (&str, &str)) -> Result<()> {
    let refused = |cause: String| {
        let doing = format!("looking for {what} in {directory} ({key} in bootagent.toml)");
        Error::new(Code::ManifestInvalid, doing, cause)
    };
    let mut above = directory.match_indices('/').map(|(slash, _)| &directory[..slash]).chain([directory]);
    if let Some(entry) = above.find_map(|path| source.entries.iter().find(|entry| entry.path == path)) {
        let kind = if entry.kind == EntryKind::Symlink { "symbolic link" } else { "file" };
        return Err(refused(format!("{} is a {kind} of the repository", entry.path))
            .remedy("name the directory itself, by its path from the repository's root"));
    }
    let below = |path: &str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
    if !source.lists_everything() || source.entries.iter().any(|entry| below(&entry.path)) {
        return Ok(());
    }
    let cause = format!("{} has no such directory", source.named());
    Err(match similar(source, directory) {
        near if near.is_empty() => {
            refused(cause).remedy(format!("correct {key} in bootagent.toml, or remove it"))
        }
        near => refused(format!("{cause}; it has {}", excerpt(&near.join(", "))))
            .remedy(format!("correct {key} in bootagent.toml")),
    })
}

/// Directories that may have been meant: those of the same name, else those of the root.
fn similar<'a>(source: &'a Source, directory: &str) -> Vec<&'a str> {
    let name = directory.rsplit('/').next();
    let mut all: Vec<&str> =
        source.entries.iter().filter_map(|entry| Some(entry.path.rsplit_once('/')?.0)).collect();
    all.dedup();
    let named: Vec<&str> =
        all.iter().copied().filter(|path| path.rsplit('/').next() == name).take(NAMED).collect();
    if !named.is_empty() {
        return named;
    }
    let mut roots: Vec<&str> = all.into_iter().filter_map(|path| path.split('/').next()).collect();
    roots.dedup();
    roots.truncate(NAMED);
    roots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;

    fn seen_from(source: &Source, directory: &str) -> Result<Option<String>, String> {
        let manifest = Manifest { directory: Some(directory.to_owned()), ..Manifest::default() };
        match seen(source, &manifest) {
            Ok(seen) => Ok(seen.directory().map(str::to_owned)),
            Err(Unmet::Ask(question)) => Err(question.what),
            Err(Unmet::Error(error)) => Err(error.to_string()),
        }
    }

    fn repository() -> Source {
        let mut source = source(&[("services/api/package.json", "{}"), ("web/index.html", "")]);
        for request in super::super::evidence() {
            let path = format!("services/api/{}", requested(&request));
            source.miss(&if request.starts_with(HEAD) { format!("{HEAD}{path}") } else { path });
        }
        source
    }

    #[test]
    fn the_texts_of_its_files_are_asked_for_once() {
        assert_eq!(seen_from(&repository(), "services/api"), Ok(Some("services/api".to_owned())));
        let mut unread = repository();
        unread.absent.clear();
        assert!(seen_from(&unread, "services/api").unwrap_err().contains("services/api/.nvmrc"));
    }

    #[test]
    fn a_record_that_lists_the_directory_is_enough_and_one_that_does_not_is_fetched_again() {
        let mut recorded = repository().seen_from("services/api").root();
        recorded.absent.clear();
        assert_eq!(seen_from(&recorded, "services/api"), Ok(Some("services/api".to_owned())));
        // The trap: of such a record, no file of `web` is known, which does not mean that it has none.
        assert!(seen_from(&recorded, "web").unwrap_err().starts_with("reading web/package.json"));
        assert!(seen_from(&repository().root(), "services/api").is_ok(), "its absent files are known");
    }

    #[test]
    fn a_directory_that_the_commit_does_not_have_is_refused() {
        let error = seen_from(&repository(), "apps/api").unwrap_err();
        assert!(error.contains("no such directory; it has services/api"), "{error}");
        let error = seen_from(&repository(), "client").unwrap_err();
        assert!(error.contains("it has services, web"), "{error}");
    }

    #[test]
    fn a_file_or_link_in_its_place_is_refused() {
        let mut linked = repository();
        linked.entries[1].path = "latest".to_owned();
        linked.entries[1].kind = EntryKind::Symlink;
        for directory in ["latest", "latest/api"] {
            let error = seen_from(&linked, directory).unwrap_err();
            assert!(error.contains("latest is a symbolic link"), "{error}");
        }
        let error = seen_from(&repository(), "services/api/package.json").unwrap_err();
        assert!(error.contains("is a file"), "{error}");
    }
}
