//! A bare repository made object by object, so that it can also hold what git itself would never write.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, Repository, Signature, Time};
use tempfile::TempDir;

pub const FILE: u32 = 0o100_644;
pub const EXECUTABLE: u32 = 0o100_755;
pub const SYMLINK: u32 = 0o120_000;
pub const DIRECTORY: u32 = 0o040_000;
pub const SUBMODULE: u32 = 0o160_000;

/// `root/auth.git`.
pub struct Upstream {
    root: TempDir,
    pub repository: Repository,
}

impl Upstream {
    pub fn new() -> Upstream {
        let root = TempDir::new().unwrap();
        let repository = Repository::init_bare(root.path().join("auth.git")).unwrap();
        Upstream { root, repository }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn path(&self) -> PathBuf {
        self.root.path().join("auth.git")
    }

    pub fn blob(&self, content: impl AsRef<[u8]>) -> Oid {
        self.repository.blob(content.as_ref()).unwrap()
    }

    /// A tree as it is told, right or wrong: order, names and modes go in unchecked.
    pub fn tree(&self, entries: &[(u32, &str, Oid)]) -> Oid {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(format!("{mode:o} {name}\0").as_bytes());
            bytes.extend_from_slice(id.as_bytes());
        }
        self.repository.odb().unwrap().write(ObjectType::Tree, &bytes).unwrap()
    }

    pub fn commit(&self, branch: &str, tree: Oid) -> Oid {
        let parent = self.repository.refname_to_id(&format!("refs/heads/{branch}")).ok();
        self.add(branch, &commit_text(tree, parent.as_slice(), "change"))
    }

    fn add(&self, branch: &str, commit: &str) -> Oid {
        let id = self.write(commit);
        self.repository.reference(&format!("refs/heads/{branch}"), id, true, "test").unwrap();
        id
    }

    fn write(&self, commit: &str) -> Oid {
        self.repository.odb().unwrap().write(ObjectType::Commit, commit.as_bytes()).unwrap()
    }

    /// Two commits on the branch whose ids begin with the same seven digits, and a merge of both.
    pub fn twins(&self, branch: &str) -> (Oid, Oid) {
        let parent = self.repository.refname_to_id(&format!("refs/heads/{branch}")).unwrap();
        let tree = self.repository.find_commit(parent).unwrap().tree_id();
        let mut seen = HashMap::new();
        let (one, other) = (0..)
            .find_map(|number| {
                let text = commit_text(tree, &[parent], &format!("change {number}"));
                let id = Oid::hash_object(ObjectType::Commit, text.as_bytes()).unwrap().to_string();
                let before = seen.insert(id[..7].to_owned(), text.clone())?;
                Some((self.write(&before), self.write(&text)))
            })
            .unwrap();
        self.add(branch, &commit_text(tree, &[one, other], "both"));
        (one, other)
    }

    /// A branch with one commit that holds these.
    pub fn with(entries: impl FnOnce(&Upstream) -> Oid) -> Upstream {
        let upstream = Upstream::new();
        let tree = entries(&upstream);
        upstream.commit("main", tree);
        upstream
    }

    /// A small service: every kind of entry, and enough random bytes that its pack can be cut in the middle.
    pub fn service() -> Upstream {
        let upstream = Upstream::new();
        let tree = upstream.service_tree("1");
        upstream.commit("main", tree);
        upstream
    }

    pub fn service_tree(&self, version: &str) -> Oid {
        let bin = self.tree(&[
            (EXECUTABLE, "start", self.blob("#!/bin/sh\nexec node ../server.js\n")),
            (SYMLINK, "up", self.blob("../server.js")),
        ]);
        let root = [
            (FILE, ".gitattributes", self.blob("* text eol=crlf\n")),
            (DIRECTORY, "bin", bin),
            (FILE, "bulk", self.blob(noise(200_000))),
            (SYMLINK, "dangling", self.blob("dist/later.js")),
            (FILE, "lines", self.blob("one\r\ntwo\nthree")),
            (SYMLINK, "package-link.json", self.blob("package.json")),
            (FILE, "package.json", self.blob(format!("{{\"version\":\"{version}\"}}"))),
            (FILE, "server.js", self.blob("listen()\n")),
        ];
        self.tree(&root)
    }
}

fn commit_text(tree: Oid, parents: &[Oid], message: &str) -> String {
    let who = Signature::new("Test", "test@example.com", &Time::new(1_700_000_000, 0)).unwrap();
    let who = format!("{} <{}> 1700000000 +0000", who.name().unwrap(), who.email().unwrap());
    let parents: String = parents.iter().map(|id| format!("parent {id}\n")).collect();
    format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\n{message}\n")
}

/// Bytes that do not compress, the same ones each time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(length)
    .collect()
}
