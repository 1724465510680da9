//! Repositories of this machine: exactly the named one; root reads only what no other user can write.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bootagent::error::Code;
use bootagent::machine::git::local::reader;
use nix::unistd::geteuid;

use super::support::upstream::Upstream;
use super::{Asking, copy_exe};

/// Another user.
const OTHER: u32 = 12345;

/// A clone with a directory `bin`, below which each test builds what it needs.
struct Stage {
    upstream: Upstream,
    clone: PathBuf,
}

impl Stage {
    fn new() -> Stage {
        let upstream = Upstream::service();
        let clone = upstream.root().join("clone");
        git(upstream.root(), &["clone", "-q", "-b", "main", "auth.git", "clone"]);
        fs::set_permissions(upstream.root(), PermissionsExt::from_mode(0o755)).unwrap();
        Stage { upstream, clone }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.upstream.root().join(name)
    }

    /// A further working tree of the clone.
    fn worktree(&self) -> PathBuf {
        git(&self.clone, &["worktree", "add", "-q", "-b", "more", "../more"]);
        self.at("more")
    }

    /// A directory that says in its `.git` where the repository is.
    fn leading_to(&self, git_directory: &Path) -> PathBuf {
        let named = self.at("named");
        fs::create_dir(&named).unwrap();
        fs::write(named.join(".git"), format!("gitdir: {}\n", git_directory.display())).unwrap();
        named
    }
}

fn git(directory: &Path, arguments: &[&str]) {
    let done = Command::new("git").args(arguments).current_dir(directory).output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// On the branch that the recorded machine's environment asks for.
fn plain_service(clone: &Path) {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/_shared/tree");
    git(clone, &["checkout", "-q", "--orphan", "test"]);
    git(clone, &["rm", "-q", "-r", "-f", "."]);
    let mut copy = Command::new("cp");
    assert!(copy.arg("-r").arg(tree.join(".")).arg(clone).status().unwrap().success());
    git(clone, &["add", "-A", "."]);
    let who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
    git(clone, &[&who[..], &["commit", "-q", "-m", "a service"]].concat());
}

fn give(path: &Path, uid: u32) {
    if path.is_dir() && !path.is_symlink() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path(), uid));
    }
    lchown(path, Some(uid), Some(uid)).unwrap();
}

#[track_caller]
fn refused(path: impl Into<PathBuf>, words: &[&str]) {
    let (code, text) = Asking::local(path).fails();
    assert_eq!(code, Code::RepositoryInvalid, "{text}");
    for word in words {
        assert!(text.contains(word), "no {word}: {text}");
    }
}

#[test]
fn working_trees_and_bare_repositories_are_opened() {
    let stage = Stage::new();
    let bare = stage.upstream.path();
    let link = stage.at("link");
    symlink(&stage.clone, &link).unwrap();
    for path in [stage.clone.clone(), stage.clone.join(".git"), bare, link, stage.worktree()] {
        let source =
            Asking::local(&path).fetch().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(source.has("server.js"));
    }
    let relative = stage.at("relative");
    fs::create_dir(&relative).unwrap();
    fs::write(relative.join(".git"), "gitdir: ../clone/.git").unwrap();
    assert!(Asking::local(relative).fetch().is_ok());
}

#[test]
fn a_repository_around_the_named_directory_is_told_and_not_opened() {
    let stage = Stage::new();
    let top = stage.clone.canonicalize().unwrap();
    for below in ["bin", ".git/refs/heads", "none"] {
        refused(stage.clone.join(below), &["name the top directory", &top.display().to_string()]);
    }
    refused(stage.upstream.root(), &["name the top directory of a git repository"]);
}

#[test]
fn what_is_not_a_link_to_a_repository_is_told() {
    let stage = Stage::new();
    let named = stage.leading_to(Path::new("/nowhere"));
    refused(&named, &["opening the repository"]);
    fs::write(named.join(".git"), "hello").unwrap();
    refused(&named, &["has no line gitdir: PATH"]);
    fs::remove_file(named.join(".git")).unwrap();
    nix::unistd::mkfifo(&named.join(".git"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    refused(&named, &["is not a file"]);
}

#[test]
fn root_opens_nothing_that_others_wrote() {
    if !geteuid().is_root() {
        return;
    }
    // Root's own directory, another user's repository.
    let stage = Stage::new();
    give(&stage.clone, OTHER);
    refused(stage.leading_to(&stage.clone.join(".git")), &["belongs to uid 12345", "run this as the user"]);
    refused(&stage.clone, &["belongs to uid 12345"]);
    // A further working tree: its own part is root's, the repository is not.
    let stage = Stage::new();
    let worktree = stage.worktree();
    chown(stage.clone.join(".git"), Some(OTHER), None).unwrap();
    refused(&worktree, &[".git", "belongs to uid 12345"]);
    // And where others may write.
    for mode in [0o777, 0o775, 0o1777] {
        let stage = Stage::new();
        for path in [stage.clone.join(".git"), stage.upstream.path()] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        }
        refused(&stage.clone, &["users other than root can change", &format!("mode {mode:04o}")]);
        refused(stage.upstream.path(), &["users other than root can change"]);
    }
}

#[test]
fn root_reads_a_repository_as_the_one_to_whom_it_belongs() {
    if !geteuid().is_root() {
        return;
    }
    let stage = Stage::new();
    assert_eq!(reader(&stage.clone), None);
    give(&stage.clone, OTHER);
    assert_eq!(reader(&stage.clone), Some(OTHER));
    // A directory in which anyone may have put a repository.
    chown(&stage.clone, Some(0), Some(0)).unwrap();
    assert_eq!(reader(&stage.clone), Some(OTHER));
    assert_eq!(reader(&stage.at("nowhere")), None);
}

/// A dry run by root, of a program that other users can start, too. Its exit status, and what it said.
fn dry_run(stage: &Stage, repository: &Path) -> (Option<i32>, String) {
    let program = stage.at("bootagent");
    if !program.exists() {
        copy_exe(&program);
    }
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/_shared");
    let flag = |name: &str, file: &str| format!("--{name}={}", shared.join(file).display());
    let flags = [flag("facts", "facts.json"), flag("policy", "policy.toml"), flag("env-file", "secret")];
    let repository = format!("--repository={}", repository.display());
    let mut command = Command::new(program);
    let done = command.env_clear().arg("--dry-run").args(flags).arg(repository).output().unwrap();
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn a_dry_run_of_root_reads_with_no_more_rights_than_the_owner_has() {
    if !geteuid().is_root() {
        return;
    }
    let stage = Stage::new();
    plain_service(&stage.clone);
    fs::create_dir(stage.clone.join("src")).unwrap();
    for owner in [0, OTHER] {
        give(&stage.clone, owner);
        let (code, said) = dry_run(&stage, &stage.clone);
        assert_eq!(code, Some(0), "of {owner}: {said}");
        let (code, said) = dry_run(&stage, &stage.clone.join("src"));
        assert_eq!(code, Some(78), "of {owner}: {said}");
        assert!(said.contains("name the top directory"), "{said}");
    }
    // What root alone may read is not read for them, wherever their `.git` leads.
    let root_s = Stage::new();
    plain_service(&root_s.clone);
    let named = root_s.leading_to(&root_s.clone.join(".git"));
    assert_eq!(dry_run(&root_s, &named).0, Some(0));
    give(&named, OTHER);
    fs::set_permissions(root_s.clone.join(".git"), PermissionsExt::from_mode(0o700)).unwrap();
    let (code, said) = dry_run(&root_s, &named);
    assert_eq!(code, Some(78), "{said}");
}
