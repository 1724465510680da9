//! Which of a commit's files a `Source` lists, and the view of a source from one directory of the repository.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::source::{HEAD, Source, requested};

/// Of which directories `Source::entries` has every file. A fetch lists the whole commit; a record lists the root and the
/// service's directory. Records of older versions of bootagent, which have no listing, list the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_whole: bool,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    directories: BTreeSet<String>,
    /// Directories that a record keeps, too: plans look into them.
    #[serde(skip)]
    kept: BTreeSet<String>,
    #[serde(skip)]
    view: Option<Arc<View>>,
}

/// The directory that a source is seen from, and the source itself.
#[derive(Debug, PartialEq, Eq)]
struct View {
    directory: String,
    repository: Source,
}

impl Listing {
    /// Of a fetched commit.
    pub fn whole() -> Listing {
        Listing { is_whole: true, ..Listing::default() }
    }

    pub fn is_root_only(&self) -> bool {
        !self.is_whole && self.directories.is_empty()
    }
}

impl Source {
    /// Whether the files of this directory are known, also which ones it does not have.
    pub fn lists(&self, directory: &str) -> bool {
        self.listing.is_whole || self.listing.directories.contains(directory)
    }

    pub fn lists_everything(&self) -> bool {
        self.listing.is_whole
    }

    /// The source as if `directory` were the repository's root. Submodules keep their whole paths.
    pub fn seen_from(&self, directory: &str) -> Source {
        let prefix = format!("{directory}/");
        let below = |path: &str| match path.strip_prefix(HEAD) {
            Some(path) => path.strip_prefix(&prefix).map(|path| format!("{HEAD}{path}")),
            None => path.strip_prefix(&prefix).map(str::to_owned),
        };
        let mut seen = Source {
            entries: Vec::new(),
            directories: Vec::new(),
            gitlinks: self.gitlinks.clone(),
            is_manifest: self.is_manifest,
            signed_by: self.signed_by.clone(),
            copy: self.copy.clone(),
            evidence: Default::default(),
            unread: Default::default(),
            absent: self.absent.iter().filter_map(|path| below(path)).collect(),
            repository: self.repository.clone(),
            branch: self.branch.clone(),
            commit: self.commit.clone(),
            listing: Listing {
                view: Some(Arc::new(View { directory: directory.to_owned(), repository: self.clone() })),
                ..self.listing.clone()
            },
        };
        for entry in &self.entries {
            if let Some(path) = below(&entry.path) {
                seen.entries.push(super::Entry { path, kind: entry.kind });
            }
        }
        let texts = self.evidence.iter();
        seen.evidence.extend(texts.filter_map(|(path, text)| Some((below(path)?, text.clone()))));
        let unread = self.unread.iter();
        seen.unread.extend(unread.filter_map(|(path, why)| Some((below(path)?, why.clone()))));
        seen
    }

    /// The source of the whole repository, if this one is seen from a directory.
    pub fn whole(&self) -> &Source {
        self.listing.view.as_deref().map_or(self, |view| &view.repository)
    }

    /// The directory that this source is seen from.
    pub fn directory(&self) -> Option<&str> {
        self.listing.view.as_deref().map(|view| view.directory.as_str())
    }

    /// The same, whose records also keep the files of these directories.
    pub fn keeping<'d>(&self, directories: impl IntoIterator<Item = &'d str>) -> Source {
        let mut keeping = self.clone();
        keeping.listing.kept.extend(directories.into_iter().map(str::to_owned));
        keeping
    }

    /// The path of a request in the repository.
    pub fn in_repository(&self, request: &str) -> String {
        let Some(directory) = self.directory() else { return request.to_owned() };
        let path = format!("{directory}/{}", requested(request));
        if request.starts_with(HEAD) { format!("{HEAD}{path}") } else { path }
    }

    /// The part that records keep for later plans: the entries of the root, of the service's directory and of those that are
    /// built first, and all evidence.
    pub fn root(&self) -> Source {
        let whole = self.whole();
        let directories: BTreeSet<String> =
            self.directory().map(str::to_owned).into_iter().chain(self.listing.kept.clone()).collect();
        let is_kept = |path: &str| path.rsplit_once('/').is_none_or(|(above, _)| directories.contains(above));
        let entries = whole.entries.iter().filter(|entry| is_kept(&entry.path)).cloned().collect();
        Source { entries, listing: Listing { directories, ..Listing::default() }, ..whole.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::source;
    use super::super::{Evidence, Source};

    fn repository() -> Source {
        let mut source = source(&[
            ("README.md", ""),
            ("services/api/package.json", "{}"),
            ("services/api/src/index.js", "1"),
            ("services/api-2/package.json", "[]"),
        ]);
        source.miss("services/api/.nvmrc");
        source.miss("services/api/prisma/schema.prisma");
        source
    }

    #[test]
    fn a_directory_is_seen_as_if_it_were_the_root() {
        let whole = repository();
        let seen = whole.seen_from("services/api");
        let paths: Vec<&str> = seen.entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["package.json", "src/index.js"]);
        assert_eq!(seen.evidence_of("package.json"), Evidence::Text("{}"));
        assert_eq!(seen.evidence_of("head:package.json"), Evidence::Text("{}"));
        assert_eq!(seen.evidence_of(".nvmrc"), Evidence::Absent);
        assert_eq!(seen.evidence_of("prisma/schema.prisma"), Evidence::Absent);
        assert_eq!(seen.evidence_of("prisma/other"), Evidence::NeverAsked);
        assert_eq!(seen.in_repository("head:yarn.lock"), "head:services/api/yarn.lock");
        assert_eq!((seen.whole(), seen.directory()), (&whole, Some("services/api")));
    }

    #[test]
    fn a_record_keeps_the_files_of_the_root_and_of_the_service_s_directory() {
        let (of_the_root, of_a_service) =
            (repository().root(), repository().seen_from("services/api").root());
        let paths = |source: &Source| -> Vec<String> {
            source.entries.iter().map(|entry| entry.path.clone()).collect()
        };
        assert_eq!(paths(&of_the_root), ["README.md"]);
        assert_eq!(paths(&of_a_service), ["README.md", "services/api/package.json"]);
        assert!(!of_the_root.lists("services/api") && of_a_service.lists("services/api"));
        assert!(!of_a_service.lists("services") && repository().lists("services"));
        // The record of a record is the same one.
        let read: Source = serde_json::from_str(&serde_json::to_string(&of_a_service).unwrap()).unwrap();
        assert_eq!(read, of_a_service);
        assert_eq!(read.seen_from("services/api").root(), of_a_service);
    }

    #[test]
    fn a_record_keeps_the_files_of_directories_that_are_built_first() {
        let keeping = repository().keeping(["services/api-2"]);
        for source in [keeping.root(), keeping.seen_from("services/api").root()] {
            assert!(source.lists("services/api-2") && source.has("services/api-2/package.json"));
            assert_eq!(source.lists("services/api"), source.has("services/api/package.json"));
        }
    }

    #[test]
    fn a_record_of_an_older_version_lists_the_root_alone() {
        let text = serde_json::to_string(&repository().root()).unwrap();
        assert!(!text.contains("listing"), "{text}");
        let read: Source = serde_json::from_str(&text).unwrap();
        assert!(!read.lists("services/api") && !read.lists_everything());
    }
}
