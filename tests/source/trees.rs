//! Trees that git would never write, and some that it would: refused by path, over the network and locally.

use bootagent::error::Code;
use git2::Oid;
use tempfile::TempDir;

use super::support::git_server::{Fault, GitServer};
use super::support::upstream::{DIRECTORY, EXECUTABLE, FILE, SUBMODULE, SYMLINK, Upstream};
use super::{Asking, check_out, named};

/// Fetched, opened or checked out: nothing of it gets through, and the path is named.
#[track_caller]
fn refused(path: &str, tree: impl FnOnce(&Upstream) -> Oid) {
    refused_as(Code::SourceUnsafe, path, tree);
}

#[track_caller]
fn refused_as(expected: Code, path: &str, tree: impl FnOnce(&Upstream) -> Oid) {
    let upstream = Upstream::with(tree);
    let server = GitServer::http(upstream.root(), Fault::None);
    for asking in [Asking::remote(format!("{}/auth.git", server.url)), Asking::local(upstream.path())] {
        let (code, text) = asking.fails();
        assert_eq!(code, expected, "{path}: {text}");
        assert!(text.contains(path), "{path} is not named: {text}");
    }
    // Not even when the look before was skipped.
    let release = TempDir::new().unwrap();
    let commit = upstream.repository.refname_to_id("refs/heads/main").unwrap();
    let error = check_out(&upstream.path(), &named(commit), release.path()).unwrap_err();
    assert_eq!(error.code(), expected, "{error}");
    assert_eq!(release.path().read_dir().unwrap().count(), 0, "something was written");
}

#[test]
fn symlinks_that_leave_the_tree() {
    for target in ["/etc/shadow", "../x", "../../../../etc/shadow", ".."] {
        refused("link", |upstream| upstream.tree(&[(SYMLINK, "link", upstream.blob(target))]));
    }
    refused("a/b/link", |upstream| {
        let b = upstream.tree(&[(SYMLINK, "link", upstream.blob("../../../etc"))]);
        let a = upstream.tree(&[(DIRECTORY, "b", b)]);
        upstream.tree(&[(DIRECTORY, "a", a)])
    });
}

#[test]
fn symlinks_that_leave_the_tree_through_another() {
    refused("z", |upstream| {
        let a = upstream.tree(&[(FILE, "f", upstream.blob("x"))]);
        let root = [
            (DIRECTORY, "a", a),
            (SYMLINK, "deep", upstream.blob("a")),
            (SYMLINK, "z", upstream.blob("deep/../../x")),
        ];
        upstream.tree(&root)
    });
    refused("z", |upstream| {
        upstream.tree(&[(SYMLINK, "here", upstream.blob(".")), (SYMLINK, "z", upstream.blob("here/../x"))])
    });
}

#[test]
fn symlinks_whose_target_is_not_a_path() {
    for target in [&b""[..], b"a\0b", b"a\nb", b"\xff\xfe", &[b'x'; 5000]] {
        refused("link", |upstream| upstream.tree(&[(SYMLINK, "link", upstream.blob(target))]));
    }
}

#[test]
fn names_that_pass_for_a_repository() {
    for name in [".git", ".GIT", ".git.", "git~1", ".g\u{200c}it", ".git::$INDEX_ALLOCATION"] {
        let shown: String = name.escape_debug().collect();
        refused(&shown, |upstream| {
            let hooks = upstream.tree(&[(EXECUTABLE, "post-checkout", upstream.blob("#!/bin/sh\n"))]);
            upstream.tree(&[(DIRECTORY, name, hooks)])
        });
        refused(&shown, |upstream| upstream.tree(&[(FILE, name, upstream.blob("gitdir: /tmp/evil\n"))]));
    }
}

#[test]
fn names_that_leave_the_tree() {
    for name in ["..", ".", "../../etc/cron.d/x", "/etc/cron.d/x", "a\u{1b}[2Jb", "a\nb"] {
        let shown: String = name.trim_start_matches('/').escape_debug().collect();
        refused(&shown, |upstream| upstream.tree(&[(FILE, name, upstream.blob("* * * * * root id\n"))]));
    }
    refused("..", |upstream| {
        let inner = upstream.tree(&[(FILE, "x", upstream.blob("x"))]);
        upstream.tree(&[(DIRECTORY, "..", inner)])
    });
}

#[test]
fn a_name_that_is_link_and_directory_at_once() {
    refused("a", |upstream| {
        let inner = upstream.tree(&[(FILE, "passwd", upstream.blob("x"))]);
        upstream.tree(&[(SYMLINK, "a", upstream.blob("b")), (DIRECTORY, "a", inner)])
    });
}

#[test]
fn modes_and_kinds_that_git_does_not_write() {
    for mode in [0o104_755, 0o100_777, 0o060_000, 0o020_000, 0o010_000] {
        refused("odd", |upstream| upstream.tree(&[(mode, "odd", upstream.blob("x"))]));
    }
    refused("file", |upstream| upstream.tree(&[(FILE, "file", upstream.tree(&[]))]));
    // git's own server does not even pack this one.
    let upstream =
        Upstream::with(|upstream| upstream.tree(&[(DIRECTORY, "gone", upstream.blob("not a tree"))]));
    assert_eq!(Asking::local(upstream.path()).fails().0, Code::SourceUnsafe);
}

fn submodule(upstream: &Upstream) -> Oid {
    let commit = Oid::from_str("0123456789012345678901234567890123456789").unwrap();
    let modules = upstream.tree(&[(SUBMODULE, "lib", commit)]);
    let described = "[submodule \"lib\"]\n\tpath = modules/lib\n\turl = https://git.test/acme/lib.git\n";
    upstream.tree(&[(FILE, ".gitmodules", upstream.blob(described)), (DIRECTORY, "modules", modules)])
}

fn pointer(upstream: &Upstream, oid: &str) -> Oid {
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
    upstream.tree(&[(FILE, "model.bin", upstream.blob(pointer))])
}

#[test]
fn a_submodule_of_another_server_is_not_fetched() {
    let upstream = Upstream::with(submodule);
    let server = GitServer::http(upstream.root(), Fault::None);
    let (code, text) = Asking::remote(format!("{}/auth.git", server.url)).fails();
    assert_eq!(code, Code::SourceSubmodule, "{text}");
    assert!(text.contains("modules/lib"), "{text}");
}

#[test]
fn the_policy_may_refuse_submodules() {
    let upstream = Upstream::with(submodule);
    let server = GitServer::http(upstream.root(), Fault::None);
    let url = format!("{}/auth.git", server.url);
    for asking in [Asking::remote(url), Asking::local(upstream.path())] {
        let (code, text) = asking.with(|request| request.submodules = false).fails();
        assert_eq!(code, Code::SourceSubmodule, "{text}");
        assert!(text.contains("git.submodules = false"), "{text}");
    }
}

#[test]
fn a_broken_pointer_of_lfs_is_refused() {
    refused_as(Code::SourceLfs, "model.bin", |upstream| pointer(upstream, "00"));
}

/// For a local repository nothing is fetched: a plan that a run could not carry out is refused.
#[test]
fn what_was_not_fetched_is_not_checked_out() {
    for (expected, upstream) in [
        (Code::SourceSubmodule, Upstream::with(submodule)),
        (Code::SourceLfs, Upstream::with(|upstream| pointer(upstream, &"0".repeat(64)))),
    ] {
        let (code, text) = Asking::local(upstream.path()).fails();
        assert!(code == expected && text.contains("local repository"), "{text}");
        let release = TempDir::new().unwrap();
        let commit = upstream.repository.refname_to_id("refs/heads/main").unwrap();
        let error = check_out(&upstream.path(), &named(commit), release.path()).unwrap_err();
        assert_eq!(error.code(), expected, "{error}");
        assert_eq!(release.path().read_dir().unwrap().count(), 0, "something was written");
    }
}

/// `git add` of a directory that is a repository itself records a commit, and no address.
#[test]
fn a_submodule_without_a_description_is_an_empty_directory() {
    let upstream = Upstream::with(|upstream| {
        let commit = Oid::from_str("0123456789012345678901234567890123456789").unwrap();
        let design =
            upstream.tree(&[(SUBMODULE, "mockups", commit), (FILE, "mockups.txt", upstream.blob("x"))]);
        let of_another = "[submodule \"lib\"]\n\tpath = modules/lib\n";
        upstream.tree(&[(FILE, ".gitmodules", upstream.blob(of_another)), (DIRECTORY, "design", design)])
    });
    let source = Asking::local(upstream.path()).fetch().unwrap();
    assert_eq!(source.gitlinks, ["design/mockups"]);
    let paths: Vec<&str> = source.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, [".gitmodules", "design/mockups.txt"]);
    let release = TempDir::new().unwrap();
    let commit = upstream.repository.refname_to_id("refs/heads/main").unwrap();
    check_out(&upstream.path(), &named(commit), release.path()).unwrap();
    let mockups = release.path().join("design/mockups");
    assert_eq!(mockups.read_dir().unwrap().count(), 0);
    assert!(release.path().join("design/mockups.txt").is_file());
}

#[test]
fn a_tree_as_deep_as_it_is_hostile_has_an_end() {
    let upstream = Upstream::with(|upstream| {
        let leaf = upstream.tree(&[(FILE, "f", upstream.blob("x"))]);
        (0..20_000).fold(leaf, |inner, _| upstream.tree(&[(DIRECTORY, "d", inner)]))
    });
    assert_eq!(Asking::local(upstream.path()).fails().0, Code::SourceUnsafe);
}

#[test]
fn what_looks_odd_but_is_fine_passes() {
    let upstream = Upstream::with(|upstream| {
        let root = [
            (FILE, ".gitmodules", upstream.blob("")),
            (SYMLINK, "a", upstream.blob("dist/made/later.js")),
            (SYMLINK, "b", upstream.blob("./a")),
            (
                FILE,
                "docs about lfs",
                upstream.blob("see version https://git-lfs.github.com/spec/v1 for pointers"),
            ),
            (0o100_664, "old", upstream.blob("x")),
            (FILE, "x:y z\\é", upstream.blob("x")),
        ];
        upstream.tree(&root)
    });
    assert_eq!(Asking::local(upstream.path()).fetch().unwrap().entries.len(), 6);
}
