//! Lists the files of a commit. Refuses unsafe and unsupported entries, with an error that names the path.

use std::collections::{HashMap, HashSet};

use git2::{ObjectType, Odb, Oid, Repository, TreeEntry};

use super::links::{self, Node, Nodes};
use super::modules::{Module, modules};
use super::paths;
use super::pointer::Pointer;
use super::request::Limits;
use crate::error::{Code, Error, Result};
use crate::facts::{EntryKind, Source, requested};
use crate::secret::{ForeignText, Message, cut};

/// The kernel's PATH_MAX, without the final zero byte.
const LONGEST_TARGET: usize = 4_095;
/// A longer `.gitmodules` is not read.
const LONGEST_GITMODULES: usize = 1 << 20;
/// Of all submodules, those of submodules included.
const MOST_SUBMODULES: usize = 100;
/// How deep submodules may be within submodules.
const DEEPEST: usize = 4;

/// A file or symlink of the commit.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) path: String,
    pub(super) kind: EntryKind,
    pub(super) blob: Oid,
    size: usize,
    /// Of a pointer: the file that it stands for.
    pub(super) lfs: Option<Pointer>,
    /// The urls of the submodules that it is in, the outermost first.
    pub(super) within: Vec<String>,
}

/// What a commit consists of.
#[derive(Debug)]
pub(super) struct Inspected {
    /// All files and symlinks, sorted by path.
    pub(super) items: Vec<Item>,
    /// Submodules that `.gitmodules` does not describe, so that `git clone` makes empty directories of them.
    pub(super) gitlinks: Vec<String>,
    /// Submodules whose commits are not in this repository. What is in them is not known.
    pub(super) missing: Vec<Missing>,
}

/// A submodule that must be fetched.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) path: String,
    pub(super) commit: Oid,
    /// Its url in `.gitmodules`; before it those of the submodules that it is in.
    pub(super) urls: Vec<String>,
    pub(super) branch: Option<String>,
}

/// A repository of the tree, whose submodules are to be looked at: the outermost one, or a submodule.
struct Within {
    directory: String,
    urls: Vec<String>,
    gitlinks: Vec<(String, Oid)>,
}

/// All that the commit consists of, or the first thing that is not allowed.
pub(super) fn inspect(repository: &Repository, commit: Oid, limits: &Limits) -> Result<Inspected> {
    let tree = repository.find_commit(commit).map_err(|error| damaged("", &error))?.tree_id();
    let odb = repository.odb().map_err(|error| damaged("", &error))?;
    let mut walk = Walk {
        repository,
        odb,
        limits,
        items: Vec::new(),
        directories: Vec::new(),
        gitlinks: Vec::new(),
        targets: Vec::new(),
        bytes: 0,
        within: Vec::new(),
    };
    walk.tree(tree, "")?;
    let (gitlinks, missing) = walk.submodules()?;
    walk.check_links()?;
    walk.items.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(Inspected { items: walk.items, gitlinks, missing })
}

/// Adds the text of the wanted files to `source`, as far as they exist.
pub(super) fn read_evidence(
    source: &mut Source,
    repository: &Repository,
    items: &[Item],
    wanted: &[String],
    limits: &Limits,
) -> Result<()> {
    for path in wanted {
        let Ok(found) = items.binary_search_by(|item| item.path.as_str().cmp(requested(path))) else {
            source.miss(path);
            continue;
        };
        let Item { kind, size, blob, .. } = &items[found];
        source.record(path, (*kind, *size as u64), limits.evidence_bytes, || {
            let blob = repository.find_blob(*blob).map_err(|error| damaged(path, &error))?;
            Ok(blob.content().to_vec())
        })?;
    }
    Ok(())
}

struct Walk<'r> {
    repository: &'r Repository,
    odb: Odb<'r>,
    limits: &'r Limits,
    items: Vec<Item>,
    directories: Vec<String>,
    /// Submodules that `submodules` has not looked at yet.
    gitlinks: Vec<(String, Oid)>,
    /// Symlinks and where they point.
    targets: Vec<(String, String)>,
    bytes: u64,
    within: Vec<String>,
}

impl Walk<'_> {
    /// The limit for a path's length bounds the depth of this recursion.
    fn tree(&mut self, id: Oid, directory: &str) -> Result<()> {
        let tree = self.repository.find_tree(id).map_err(|error| damaged(directory, &error))?;
        let mut names = HashSet::new();
        for entry in &tree {
            let path = paths::join(directory, entry.name_bytes())
                .map_err(|why| refused(&unchecked_path(directory, entry.name_bytes()), why))?;
            // With one name for a symlink and a directory, the directory's files would be written through the symlink.
            if !names.insert(entry.name_bytes().to_vec()) {
                return Err(refused(&path, "two entries have this name"));
            }
            // Directories count, too: few tree objects that contain each other many times expand to millions.
            if self.items.len() + self.directories.len() >= self.limits.entries {
                let cause = format!("it has more than {} files and directories", self.limits.entries);
                return Err(Error::new(Code::SourceTooLarge, "listing the commit's files", cause));
            }
            self.entry(&entry, path)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &TreeEntry<'_>, path: String) -> Result<()> {
        match entry.filemode_raw() {
            0o040_000 => {
                self.directories.push(path.clone());
                self.tree(entry.id(), &path)
            }
            0o100_755 => self.file(entry.id(), path, EntryKind::Executable),
            // 0664 is what the earliest versions of git wrote.
            0o100_644 | 0o100_664 => self.file(entry.id(), path, EntryKind::File),
            0o120_000 => self.symlink(entry.id(), path),
            0o160_000 => {
                self.directories.push(path.clone());
                self.gitlinks.push((path, entry.id()));
                Ok(())
            }
            mode => Err(refused(&path, &format!("its mode is {mode:o}, which git does not write"))),
        }
    }

    fn file(&mut self, blob: Oid, path: String, kind: EntryKind) -> Result<()> {
        let size = self.size(blob, &path)?;
        let lfs = match Pointer::may_have(size) {
            true => Pointer::read(&self.content(blob, &path)?).transpose(),
            false => Ok(None),
        };
        let lfs = lfs.map_err(|why| unsupported(Code::SourceLfs, &path, why))?;
        self.bytes = self.bytes.saturating_add(lfs.as_ref().map_or(size as u64, |pointer| pointer.size));
        if self.bytes > self.limits.tree_bytes {
            let cause = format!("its files are more than {} bytes together", self.limits.tree_bytes);
            return Err(Error::new(Code::SourceTooLarge, "adding up the commit's files", cause));
        }
        self.items.push(Item { path, kind, blob, size, lfs, within: self.within.clone() });
        Ok(())
    }

    fn symlink(&mut self, blob: Oid, path: String) -> Result<()> {
        let size = self.size(blob, &path)?;
        if size > LONGEST_TARGET {
            return Err(refused(&path, "its target is longer than a path can be"));
        }
        let target = String::from_utf8(self.content(blob, &path)?)
            .map_err(|_| refused(&path, "its target is not UTF-8"))?;
        self.targets.push((path.clone(), target));
        self.items.push(Item { path, kind: EntryKind::Symlink, blob, size, lfs: None, within: Vec::new() });
        Ok(())
    }

    /// From the object's header, without unpacking it: a small pack can hold a very large file.
    fn size(&self, blob: Oid, path: &str) -> Result<usize> {
        match self.odb.read_header(blob) {
            Ok((size, ObjectType::Blob)) => Ok(size),
            Ok((_, kind)) => Err(refused(path, &format!("it is a {kind}, where a file should be"))),
            Err(error) => Err(damaged(path, &error)),
        }
    }

    fn content(&self, blob: Oid, path: &str) -> Result<Vec<u8>> {
        Ok(self.odb.read(blob).map_err(|error| damaged(path, &error))?.data().to_vec())
    }

    /// Walks through the submodules whose commits are here, and through theirs. Returns those that no `.gitmodules`
    /// describes (a repository inside the working tree was added by mistake: it is empty in every clone), and those whose
    /// commits are not here.
    fn submodules(&mut self) -> Result<(Vec<String>, Vec<Missing>)> {
        let (mut undescribed, mut missing, mut count) = (Vec::new(), Vec::new(), 0);
        let gitlinks = std::mem::take(&mut self.gitlinks);
        let mut todo = vec![Within { directory: String::new(), urls: Vec::new(), gitlinks }];
        while let Some(Within { directory, urls, gitlinks }) = todo.pop() {
            let described = if gitlinks.is_empty() { HashMap::new() } else { self.described(&directory)? };
            for (path, commit) in gitlinks {
                let below = path.strip_prefix(&directory).unwrap_or(&path).trim_start_matches('/');
                let Some(module) = described.get(below).filter(|module| !module.is_left_out) else {
                    undescribed.push(path);
                    continue;
                };
                count += 1;
                if count > MOST_SUBMODULES || urls.len() == DEEPEST {
                    let cause = format!(
                        "there are more than {MOST_SUBMODULES} submodules, or over {DEEPEST} within each other"
                    );
                    return Err(submodule(&path, &cause));
                }
                let urls: Vec<String> = urls.iter().chain([&module.url]).cloned().collect();
                let Ok(found) = self.repository.find_commit(commit) else {
                    missing.push(Missing { path, commit, urls, branch: module.branch.clone() });
                    continue;
                };
                self.within = urls.clone();
                self.tree(found.tree_id(), &path)?;
                todo.push(Within { directory: path, urls, gitlinks: std::mem::take(&mut self.gitlinks) });
            }
        }
        Ok((undescribed, missing))
    }

    /// The submodules that the `.gitmodules` of a repository in this directory describes.
    fn described(&self, directory: &str) -> Result<HashMap<String, Module>> {
        let path =
            if directory.is_empty() { ".gitmodules".to_owned() } else { format!("{directory}/.gitmodules") };
        let is_it = |item: &&Item| item.path == path && item.kind != EntryKind::Symlink;
        let Some(item) = self.items.iter().find(is_it) else { return Ok(HashMap::new()) };
        if item.size > LONGEST_GITMODULES {
            return Err(submodule(&path, "the file that describes submodules is too long"));
        }
        let text = self.content(item.blob, &path)?;
        Ok(modules(&String::from_utf8_lossy(&text)))
    }

    fn check_links(&self) -> Result<()> {
        if self.targets.is_empty() {
            return Ok(());
        }
        let mut nodes = Nodes::new();
        nodes.extend(self.directories.iter().map(|path| (path.as_str(), Node::Directory)));
        nodes.extend(self.items.iter().map(|item| (item.path.as_str(), Node::File)));
        nodes.extend(self.targets.iter().map(|(path, target)| (path.as_str(), Node::Symlink(target))));
        self.targets.iter().try_for_each(|(path, target)| {
            links::check(&nodes, path, target).map_err(|why| {
                refused(
                    path,
                    &format!("it is a symlink to {}: {why}", cut(target.escape_debug().to_string(), 100)),
                )
            })
        })
    }
}

fn submodule(path: &str, why: &str) -> Error {
    unsupported(Code::SourceSubmodule, path, why)
}

/// For messages: the name may be any bytes.
fn unchecked_path(directory: &str, name: &[u8]) -> String {
    format!("{directory}/{}", String::from_utf8_lossy(name))
}

/// Escaped, because users who can push choose the names, which could contain terminal control sequences.
pub(super) fn shown(path: &str) -> String {
    cut(path.trim_start_matches('/').escape_debug().to_string(), 100)
}

fn refused(path: &str, why: &str) -> Error {
    Error::new(Code::SourceUnsafe, format!("checking the repository's {}", shown(path)), why)
}

/// The error for an entry that is harmless, but not supported.
fn unsupported(code: Code, path: &str, why: &str) -> Error {
    Error::new(code, format!("checking the repository's {}", shown(path)), why)
}

/// The error for an object that is absent, or does not match its id.
fn damaged(path: &str, error: &git2::Error) -> Error {
    let what = if path.is_empty() { "commit".to_owned() } else { shown(path) };
    let cause =
        Message::from("the object is missing or damaged: ").and(ForeignText::message(error.message()));
    Error::new(Code::SourceUnsafe, format!("reading the repository's {what}"), cause)
        .remedy("does git fsck pass on the repository?")
}
