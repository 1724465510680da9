//! Git bundles: a header with the commits of branches, then a pack. Reads a commit from one, and writes one of a single commit.
//! Runs in a child process.
//!
//! git names objects by their hashes, and libgit2 computes them while it unpacks. So a bundle can only have the commit of a known
//! id or not have it: a writer of bundles can change nothing of a commit. Which commit is a branch's newest is only said.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};
use serde::{Deserialize, Serialize};

use super::empty::empty_repository;
use super::inspect::{self, Inspected, Item};
use super::request::{FetchRequest, Limits};
use super::{commits, libgit2};
use crate::error::{Code, Coded, Error, Result};
use crate::facts::{Branch, Commit};
use crate::secret::{ForeignText, Message};

const SIGNATURE: &str = "# v2 git bundle";
/// Bytes of a line of the header, which is a commit's id and a reference's name.
const LONGEST_LINE: u64 = 4 << 10;
const MOST_LINES: usize = 10_000;

/// Unpacks a bundle into the scratch directory, and finds the commit there.
pub(super) fn read(request: &FetchRequest, path: &Path, name: &str) -> Result<(Repository, Oid)> {
    let doing = || doing(name);
    let mut bundle = BufReader::new(File::open(path).doing(doing)?);
    let branch = format!("refs/heads/{}", request.branch);
    let tip = tip(&mut bundle, &branch).map_err(|cause| invalid(doing(), cause))?;
    let tip = tip.ok_or_else(|| {
        let cause = format!("it has no branch {}", request.branch);
        Error::new(Code::BranchMissing, doing(), cause).remedy(REMEDY)
    })?;
    let repository = empty_repository(&request.scratch)?;
    unpack(&repository, bundle, request.limits.pack_bytes).map_err(|error| {
        let cause = Message::from("its pack is damaged: ").and(ForeignText::message(&error.to_string()));
        match crate::error::is_disk_full(&error.to_string()) {
            true => Error::of_the_disk(doing(), ForeignText::message(&error.to_string())),
            false => invalid(doing(), cause),
        }
    })?;
    repository.find_commit(tip).map_err(|_| invalid(doing(), "its pack lacks the branch's commit"))?;
    let commit = match &request.pinned {
        None => tip,
        Some(pinned) => commits::on_branch(&repository, tip, pinned, &request.branch)?
            .ok_or_else(|| commits::not_on_branch(&request.branch, pinned, "the bundle does not have it"))?,
    };
    Ok((repository, commit))
}

/// The files of the commit. What is in another repository or in Git LFS is not in a bundle.
pub(super) fn inspect(
    repository: &Repository,
    commit: Oid,
    limits: &Limits,
    name: &str,
) -> Result<Inspected> {
    let inspected = inspect::inspect(repository, commit, limits)?;
    let lacks = |what: &str| invalid(doing(name), format!("a bundle does not have {what}"));
    match () {
        () if !inspected.missing.is_empty() => Err(lacks("the repository's submodules")),
        () if inspected.items.iter().any(|item| item.lfs.is_some()) => Err(lacks("files of Git LFS")),
        () => Ok(inspected),
    }
}

const REMEDY: &str = "write it again, from a clone of the repository: git bundle create FILE BRANCH";

fn doing(name: &str) -> String {
    format!("reading the bundle {name}")
}

fn invalid(doing: String, cause: impl Into<Message>) -> Error {
    Error::new(Code::SourceUnsafe, doing, cause).remedy(REMEDY)
}

/// The commit that the header says for this reference.
fn tip(bundle: &mut impl BufRead, reference: &str) -> Result<Option<Oid>, &'static str> {
    if line(bundle)?.as_deref() != Some(SIGNATURE) {
        return Err("it is not a git bundle of version 2");
    }
    let mut found = None;
    for _ in 0..MOST_LINES {
        let Some(line) = line(bundle)? else { return Err("it ends within its header") };
        if line.is_empty() {
            return Ok(found);
        }
        if line.starts_with('-') {
            return Err("it is only the difference to another commit");
        }
        let (id, name) = line.split_once(' ').ok_or("its header is not that of a bundle")?;
        let id = Oid::from_str(id).map_err(|_| "its header has an invalid id")?;
        if name == reference {
            found = Some(id);
        }
    }
    Err("its header has too many lines")
}

fn line(bundle: &mut impl BufRead) -> Result<Option<String>, &'static str> {
    let mut bytes = Vec::new();
    let read = bundle.take(LONGEST_LINE).read_until(b'\n', &mut bytes);
    match read.map_err(|_| "it cannot be read")? {
        0 => Ok(None),
        _ if bytes.pop() != Some(b'\n') => Err("a line of its header is too long"),
        _ => String::from_utf8(bytes).map(Some).map_err(|_| "its header is not text"),
    }
}

fn unpack(repository: &Repository, bundle: impl Read, most: u64) -> anyhow::Result<()> {
    let odb = repository.odb()?;
    let mut pack = odb.packwriter()?;
    let read = io::copy(&mut bundle.take(most + 1), &mut pack)?;
    anyhow::ensure!(read <= most, "it is over {} MiB", most >> 20);
    pack.commit()?;
    Ok(())
}

/// Write a commit of a fetched repository as a bundle.
#[derive(Debug, Serialize, Deserialize)]
pub struct PackRequest {
    pub repository: PathBuf,
    pub commit: Commit,
    pub branch: Branch,
    /// The new file.
    pub file: PathBuf,
    #[serde(default)]
    pub limits: Limits,
}

/// The result of a request to write a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packed {
    Written,
    /// The commit needs more than its own objects: submodules, or files of Git LFS.
    NotAlone,
}

/// Writes the bundle: the commit and its files, without history. `git clone` cannot use it.
pub fn pack(request: &PackRequest) -> Result<Packed> {
    libgit2::set_up()?;
    let doing = || format!("writing the bundle of commit {}", request.commit.short());
    let failed = |error: git2::Error| Error::of_the_disk(doing(), ForeignText::message(error.message()));
    let repository = libgit2::open(&request.repository).map_err(failed)?;
    let commit = commits::oid(&request.commit)?;
    let inspected = inspect::inspect(&repository, commit, &request.limits)?;
    let is_elsewhere = |item: &Item| item.lfs.is_some() || !item.within.is_empty();
    if !inspected.missing.is_empty() || inspected.items.iter().any(is_elsewhere) {
        return Ok(Packed::NotAlone);
    }
    let mut file = File::options().write(true).create_new(true).open(&request.file).doing(doing)?;
    write!(file, "{SIGNATURE}\n{commit} refs/heads/{}\n\n", request.branch).doing(doing)?;
    let mut pack = repository.packbuilder().map_err(failed)?;
    pack.insert_commit(commit).map_err(failed)?;
    let (mut left, mut written) = (Some(request.limits.pack_bytes), Ok(()));
    let each = pack.foreach(|bytes| {
        left = left.and_then(|left| left.checked_sub(bytes.len() as u64));
        written = file.write_all(bytes);
        left.is_some() && written.is_ok()
    });
    written.doing(doing)?;
    if left.is_none() {
        let cause = format!("it would have over {} MiB", request.limits.pack_bytes >> 20);
        return Err(Error::new(Code::SourceTooLarge, doing(), cause));
    }
    each.map_err(failed)?;
    Ok(Packed::Written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Result<Option<String>, &'static str> {
        let found = tip(&mut text.as_bytes(), "refs/heads/main");
        found.map(|id| id.map(|id| id.to_string()))
    }

    #[test]
    fn the_header_names_the_branch_s_commit() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let text = format!("# v2 git bundle\n{a} refs/heads/other\n{b} refs/heads/main\n{a} HEAD\n\nPACK");
        assert_eq!(header(&text), Ok(Some(b)));
        assert_eq!(header(&format!("# v2 git bundle\n{a} refs/heads/other\n\nPACK")), Ok(None));
    }

    #[test]
    fn another_header_is_refused() {
        let a = "a".repeat(40);
        for (text, says) in [
            ("", "not a git bundle"),
            ("# v3 git bundle\n@object-format=sha256\n\n", "not a git bundle"),
            ("# v2 git bundle\n", "ends within"),
            (&format!("# v2 git bundle\n-{a} before\n{a} refs/heads/main\n\n"), "difference"),
            ("# v2 git bundle\nmain\n\n", "not that of a bundle"),
            ("# v2 git bundle\nxyz refs/heads/main\n\n", "invalid id"),
            (&format!("# v2 git bundle\n{}\n", "x".repeat(5000)), "too long"),
            (&format!("# v2 git bundle\n{}", format!("{a} x\n").repeat(10_001)), "too many"),
        ] {
            let cause = header(text).unwrap_err();
            assert!(cause.contains(says), "{text:.60}: {cause}");
        }
    }
}
