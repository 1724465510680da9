//! The child as a process: what it shows of itself, and how it ends.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use bootagent::error::{Code, Result};
use bootagent::facts::Source;
use bootagent::machine::jail::ask::{ask, ask_as};
use bootagent::machine::jail::child::Role;
use bootagent::machine::jail::request::{decode_reply, encode_request};
use nix::sys::signal::kill;
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

use super::support::certificates::Certificates;
use super::support::git_server::{Fault, GitServer};
use super::support::upstream::Upstream;
use super::{Asking, CANARY, PATIENCE, ca_file, copy_exe, credential, exe, run};

/// Waits for what must come soon.
#[track_caller]
fn soon(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn stalled(upstream: &Upstream) -> (GitServer, Asking) {
    let server = GitServer::http(upstream.root(), Fault::StallAfter(100_000));
    let asking = Asking::remote(format!("{}/auth.git", server.url))
        .with(|request| request.timeouts.stall = Duration::from_secs(600));
    (server, asking)
}

#[test]
fn a_child_that_stalls_in_the_pack_is_killed_at_the_deadline() {
    let upstream = Upstream::service();
    let (server, asking) = stalled(&upstream);
    let begun = Instant::now();
    let deadline = Duration::from_millis(3500);
    let result: Result<Source> = run(ask(exe(), Role::Fetch, &asking.request, deadline));
    let error = result.unwrap_err();
    assert_eq!(error.code(), Code::Deadline);
    assert!(error.to_string().contains("3.5 s"), "{error}");
    assert!(begun.elapsed() >= deadline && begun.elapsed() < Duration::from_secs(20));
    soon("the killed child still holds its connection", || server.client_is_gone());
}

#[test]
fn a_child_does_not_outlive_a_caller_that_loses_interest() {
    let upstream = Upstream::service();
    let (server, asking) = stalled(&upstream);
    run(async {
        let fetch = ask::<_, Source>(exe(), Role::Fetch, &asking.request, PATIENCE);
        let stalling = async {
            while !server.is_stalling() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            _ = fetch => panic!("the fetch ended"),
            () = stalling => {}
        }
    });
    soon("the dropped child still holds its connection", || server.client_is_gone());
}

fn script(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("child");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn the_deadline_takes_the_whole_group() {
    let directory = TempDir::new().unwrap();
    let noted = directory.path().join("pid");
    let text = format!("trap '' TERM INT HUP\nsleep 600 &\necho $! > {}\nwait", noted.display());
    let exe = script(directory.path(), &text);
    let result: Result<()> = run(ask(&exe, Role::Checkout, &(), Duration::from_secs(2)));
    assert_eq!(result.unwrap_err().code(), Code::Deadline);
    let grandchild = Pid::from_raw(fs::read_to_string(&noted).unwrap().trim().parse().unwrap());
    soon("a grandchild lives on", || {
        let stat = fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        kill(grandchild, None).is_err() || stat.contains(") Z ")
    });
}

#[test]
fn children_that_say_nothing_or_nonsense_are_told_apart() {
    let directory = TempDir::new().unwrap();
    for (text, code, part) in [
        ("cat >/dev/null; echo 'out of luck' >&2; exit 3", Code::Io, "out of luck"),
        ("kill -9 $$", Code::Io, "signal: 9"),
        ("cat >/dev/null; echo hello", Code::Bug, "reply"),
        ("cat >/dev/null; head -c 70000000 /dev/zero", Code::Bug, "longer than"),
        ("head -c 9000000 /dev/zero >&2 || exit 9; echo '{\"ok\":null}'", Code::Usage, ""),
    ] {
        let exe = script(directory.path(), text);
        let result: Result<()> = run(ask(&exe, Role::Fetch, &"x".repeat(100_000), PATIENCE));
        match result {
            Ok(()) => assert_eq!(code, Code::Usage, "{text}"),
            Err(error) => {
                let error = error.in_public();
                assert_eq!(error.code(), code, "{text}: {error}");
                assert!(error.to_string().contains(part), "{text}: {error}");
            }
        }
    }
    let result: Result<()> = run(ask(Path::new("/no/such/program"), Role::Fetch, &(), PATIENCE));
    assert_eq!(result.unwrap_err().code(), Code::Io);
}

#[test]
fn a_child_dies_with_a_parent_that_is_killed() {
    let upstream = Upstream::service();
    let (server, asking) = stalled(&upstream);
    let place = TempDir::new().unwrap();
    let request = place.path().join("request");
    fs::write(&request, encode_request(&asking.request).unwrap().as_slice()).unwrap();
    let mut parent = Command::new("sh")
        .args(["-c", "\"$0\" __child fetch <\"$1\" >/dev/null & wait"])
        .args([exe(), &request])
        .spawn()
        .unwrap();
    soon("the pack is not asked for", || server.is_stalling());
    parent.kill().unwrap();
    parent.wait().unwrap();
    soon("the orphan still holds its connection", || server.client_is_gone());
}

#[test]
fn a_child_shows_nothing_of_the_credential() {
    let upstream = Upstream::service();
    let certificates = Certificates::new("IP:127.0.0.1");
    let server = GitServer::https(upstream.root(), Fault::StallAfter(100_000), &certificates);
    let place = TempDir::new().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let authority = place.path().join("ca.pem");
    fs::copy(certificates.authority(), &authority).unwrap();
    let asking = Asking::remote(format!("{}/auth.git", server.url)).with(|request| {
        request.credential = Some(credential());
        request.network.ca_file = Some(ca_file(&authority));
        request.timeouts.stall = Duration::from_secs(600);
    });
    let copy = place.path().join("bootagent");
    copy_exe(&copy);
    // Cores are on where they may be: the child must turn them off itself.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sc unlimited; exec \"$@\"", "sh"]);
    if geteuid().is_root() {
        // Who is dumpable shows only where the child is not root.
        chown(asking.scratch.path(), Some(12345), Some(12345)).unwrap();
        command.args(["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]);
    }
    command.arg(&copy).args(["__child", "fetch"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&encode_request(&asking.request).unwrap()).unwrap();
    soon("the pack is not asked for", || server.is_stalling());

    let path = |name: &str| format!("/proc/{}/{name}", child.id());
    let cmdline = fs::read_to_string(path("cmdline")).unwrap();
    assert!(!cmdline.contains(CANARY), "{cmdline}");
    let limits = fs::read_to_string(path("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    assert!(fs::read_to_string(path("status")).unwrap().contains("NoNewPrivs:\t1"));
    // How the kernel shows a process that is not dumpable: its memory belongs to root, and not to the user who runs it.
    assert_eq!(fs::metadata(path("mem")).unwrap().uid(), 0);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Through the bare protocol, as another parent would.
fn answer(role: &str, request: &[u8]) -> Output {
    let mut child = Command::new(exe())
        .args(["__child", role])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(request);
    child.wait_with_output().unwrap()
}

#[test]
fn the_exit_status_says_what_the_reply_says() {
    let upstream = Upstream::service();
    let request = encode_request(&Asking::local(upstream.path()).request).unwrap();
    let output = answer("fetch", &request);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    decode_reply::<Source>(&output.stdout).unwrap();

    let asking = Asking::remote("http://127.0.0.1:1/a.git");
    let request = encode_request(&asking.request).unwrap();
    let output = answer("fetch", &request);
    assert_eq!(output.status.code(), Some(75));
    assert_eq!(decode_reply::<Source>(&output.stdout).unwrap_err().code(), Code::GitUnreachable);
}

#[test]
fn requests_that_are_none_are_bugs_and_are_not_repeated() {
    let upstream = Upstream::service();
    let mut long = encode_request(&Asking::local(upstream.path()).request).unwrap().to_vec();
    long.resize(2 << 20, b' ');
    let broken = format!("{{\"credential\":\"{CANARY}\"}}");
    for request in [&b""[..], b"{}", broken.as_bytes(), &long] {
        let output = answer("fetch", request);
        assert_eq!(output.status.code(), Some(70));
        let error = decode_reply::<Source>(&output.stdout).unwrap_err();
        assert_eq!(error.code(), Code::Bug);
        assert!(!error.to_string().contains(CANARY), "{error}");
    }
    assert_eq!(answer("else", b"{}").status.code(), Some(64));
}

/// Root reads what others wrote as its owner: with none of root's groups, the first one included.
#[test]
fn a_child_of_another_user_is_not_of_root_s_group() {
    if !geteuid().is_root() {
        return;
    }
    let owner = 12345;
    let upstream = Upstream::service();
    let asking = Asking::local(upstream.path());
    let exe = TempDir::new().unwrap();
    let program = exe.path().join("bootagent");
    copy_exe(&program);
    fs::set_permissions(exe.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs::set_permissions(upstream.root(), PermissionsExt::from_mode(0o755)).unwrap();
    chown(upstream.path(), Some(owner), Some(owner)).unwrap();
    let fetch = || run(ask_as::<_, Source>(Some(owner), &program, Role::Fetch, &asking.request, PATIENCE));
    fetch().unwrap();
    let objects = upstream.path().join("objects");
    fs::set_permissions(&objects, PermissionsExt::from_mode(0o750)).unwrap();
    assert_eq!((objects.metadata().unwrap().uid(), objects.metadata().unwrap().gid()), (0, 0));
    fetch().expect_err("root's group could read it");
}
