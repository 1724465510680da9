//! Releases: the bytes, modes and links of the commit, and nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use bootagent::error::Code;
use bootagent::facts::Source;
use bootagent::machine::git::local::reader;
use bootagent::machine::git::request::{CheckoutRequest, Limits};
use bootagent::machine::jail::ask::ask_as;
use bootagent::machine::jail::child::Role;
use bootagent::machine::jail::request::{decode_reply, encode_request};
use nix::unistd::geteuid;
use tempfile::TempDir;

use super::support::git_server::{Fault, GitServer};
use super::support::upstream::{Upstream, noise};
use super::{Asking, PATIENCE, check_out, copy_exe, exe, named, run};

fn newest(upstream: &Upstream) -> bootagent::facts::Commit {
    named(upstream.repository.refname_to_id("refs/heads/main").unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_was_fetched_is_written_as_it_is() {
    let upstream = Upstream::service();
    let server = GitServer::http(upstream.root(), Fault::None);
    let asking = Asking::remote(format!("{}/auth.git", server.url));
    let source = asking.fetch().unwrap();
    let release = TempDir::new().unwrap();
    let at = |path: &str| release.path().join(path);
    check_out(asking.scratch.path(), &source.commit, release.path()).unwrap();

    // .gitattributes asks for CRLF everywhere, which bootagent ignores.
    assert_eq!(fs::read(at("lines")).unwrap(), b"one\r\ntwo\nthree");
    assert_eq!(fs::read(at("bulk")).unwrap(), noise(200_000));
    assert_eq!((mode(&at("server.js")), mode(&at("bin/start")), mode(&at("bin"))), (0o644, 0o755, 0o755));
    assert_eq!(fs::read_link(at("bin/up")).unwrap(), Path::new("../server.js"));
    assert_eq!(fs::read_link(at("dangling")).unwrap(), Path::new("dist/later.js"));
    assert!(!at(".git").exists());
    assert_eq!(release.path().read_dir().unwrap().count(), 8);
}

#[test]
fn directories_that_sort_between_files_come_out_right() {
    let upstream = Upstream::with(|upstream| {
        let file = |text: &str| upstream.blob(text);
        let deep = upstream.tree(&[(0o100_644, "y", file("y"))]);
        let inner = upstream.tree(&[(0o100_644, "x", file("x")), (0o040_000, "x.d", deep)]);
        let root = [
            (0o100_644, "a-b", file("1")),
            (0o100_644, "a.b", file("2")),
            (0o040_000, "a", inner),
            (0o100_644, "a0", file("3")),
            (0o040_000, "b", deep),
        ];
        upstream.tree(&root)
    });
    let release = TempDir::new().unwrap();
    check_out(&upstream.path(), &newest(&upstream), release.path()).unwrap();
    for (path, text) in
        [("a-b", "1"), ("a.b", "2"), ("a/x", "x"), ("a/x.d/y", "y"), ("a0", "3"), ("b/y", "y")]
    {
        assert_eq!(fs::read_to_string(release.path().join(path)).unwrap(), text, "{path}");
    }
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let upstream = Upstream::service();
    let release = TempDir::new().unwrap();
    let request = CheckoutRequest {
        repository: upstream.path(),
        commit: newest(&upstream),
        release: release.path().to_owned(),
        limits: Limits::default(),
    };
    let mut child = Command::new("sh")
        .args(["-c", "umask 077; exec \"$0\" __child checkout"])
        .arg(exe())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &encode_request(&request).unwrap()).unwrap();
    decode_reply::<()>(&child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(mode(&release.path().join("server.js")), 0o644);
    assert_eq!(mode(&release.path().join("bin")), 0o755);
}

#[test]
fn a_release_that_is_not_an_empty_directory_of_ours_is_refused() {
    let upstream = Upstream::service();
    let place = TempDir::new().unwrap();
    let at = |name: &str| place.path().join(name);
    let used = at("used");
    fs::create_dir(&used).unwrap();
    fs::write(used.join("server.js"), "mine").unwrap();
    fs::create_dir(at("elsewhere")).unwrap();
    symlink(at("elsewhere"), at("link")).unwrap();
    fs::write(at("file"), "x").unwrap();
    for release in [used.clone(), at("link"), at("file"), at("absent")] {
        let error = check_out(&upstream.path(), &newest(&upstream), &release).unwrap_err();
        assert_eq!(error.code(), Code::CheckoutFailed, "{error}");
        assert!(error.to_string().contains(&release.display().to_string()), "{error}");
    }
    assert_eq!(fs::read_to_string(used.join("server.js")).unwrap(), "mine");
    assert_eq!(at("elsewhere").read_dir().unwrap().count(), 0);
}

#[test]
fn a_commit_that_is_not_there_is_named() {
    let upstream = Upstream::service();
    let release = TempDir::new().unwrap();
    let commit = "0123456789012345678901234567890123456789".try_into().unwrap();
    assert_eq!(check_out(&upstream.path(), &commit, release.path()).unwrap_err().code(), Code::SourceUnsafe);
    let error = check_out(release.path(), &commit, release.path()).unwrap_err();
    assert_eq!(error.code(), Code::CheckoutFailed, "{error}");
}

/// The fetching user is not the building one.
#[test]
fn a_repository_of_another_user_is_read_and_a_release_of_another_is_not_written() {
    if !geteuid().is_root() {
        return;
    }
    let upstream = Upstream::service();
    let program = upstream.root().join("bootagent");
    copy_exe(&program);
    let status = Command::new("chown").args(["-R", "12345:12345"]).arg(upstream.root()).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::metadata(upstream.path()).unwrap().uid(), 12345);
    let release = TempDir::new().unwrap();
    check_out(&upstream.path(), &newest(&upstream), release.path()).unwrap();
    // As its owner, as whom root has it read.
    let asking = Asking::local(upstream.path());
    let owner = reader(&upstream.path());
    assert_eq!(owner, Some(12345));
    let source: Source = run(ask_as(owner, &program, Role::Fetch, &asking.request, PATIENCE)).unwrap();
    assert!(source.has("server.js"));

    let foreign = TempDir::new().unwrap();
    chown(foreign.path(), Some(12345), Some(12345)).unwrap();
    let error = check_out(&upstream.path(), &newest(&upstream), foreign.path()).unwrap_err();
    assert_eq!(error.code(), Code::CheckoutFailed);
    assert!(error.to_string().contains("12345"), "{error}");
}
