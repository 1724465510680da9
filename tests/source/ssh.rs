//! Repositories over ssh: real keys, OpenSSH's own server, and what becomes of each failure.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bootagent::error::Code;
use bootagent::facts::HostKey;
use bootagent::machine::git::credential::Credential;
use bootagent::secret::Secret;
use nix::unistd::geteuid;
use tempfile::TempDir;

use super::support::ssh_server::{Fault, SshServer, make_key};
use super::support::upstream::Upstream;
use super::{Asking, PATIENCE, credential, holds, named};

/// sshd needs root. Everything else here would be tested without it, too.
macro_rules! as_root {
    () => {
        if !geteuid().is_root() {
            return;
        }
    };
}

/// A client's key pair.
pub struct Pair {
    pub private: String,
    pub public: String,
}

fn pair(arguments: &[&str]) -> Pair {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("key");
    let public = make_key(&path, arguments);
    Pair { private: std::fs::read_to_string(&path).unwrap(), public }
}

pub fn ed25519() -> Pair {
    pair(&["-t", "ed25519"])
}

pub fn asking(server: &SshServer, repository: &Path, private: &str) -> Asking {
    Asking::remote(server.url(repository)).with(|request| {
        request.credential = Some(Credential::Key(Secret::new(private)));
        request.host_keys = vec![HostKey::try_from(server.host_key.clone()).unwrap()];
    })
}

/// A server and a client that it lets in, with this fault between them.
fn stage(fault: Fault) -> (Upstream, SshServer, Asking) {
    let upstream = Upstream::service();
    let pair = ed25519();
    let server = SshServer::new("ed25519", fault).authorize(&pair.public);
    let asking = asking(&server, &upstream.path(), &pair.private);
    (upstream, server, asking)
}

#[test]
fn every_kind_of_key_opens_the_repository() {
    as_root!();
    for arguments in [
        &["-t", "ed25519"][..],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "ecdsa", "-m", "PEM"],
        &["-t", "ecdsa", "-m", "PKCS8"],
        &["-t", "rsa", "-b", "2048"],
        &["-t", "rsa", "-b", "3072", "-m", "PEM"],
        &["-t", "rsa", "-b", "2048", "-m", "PKCS8"],
    ] {
        let upstream = Upstream::service();
        let pair = pair(arguments);
        let server = SshServer::new("ed25519", Fault::None).authorize(&pair.public);
        let asking = asking(&server, &upstream.path(), &pair.private);
        let source =
            asking.fetch().unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", server.log()));
        assert_eq!(source.repository, server.url(&upstream.path()));
        assert!(source.has("server.js"), "{arguments:?}");
        assert_eq!(server.connections(), 1, "one conversation is enough");
    }
}

#[test]
fn servers_with_other_kinds_of_host_keys_are_known_by_them() {
    as_root!();
    for kind in ["ecdsa", "ed25519", "rsa"] {
        let upstream = Upstream::service();
        let pair = ed25519();
        let server = SshServer::new(kind, Fault::None).authorize(&pair.public);
        asking(&server, &upstream.path(), &pair.private).fetch().unwrap();
    }
}

#[test]
fn a_key_is_nowhere_but_in_memory() {
    as_root!();
    let (_upstream, server, asking) = stage(Fault::None);
    asking.fetch().unwrap();
    let Some(Credential::Key(key)) = &asking.request.credential else { panic!("no key") };
    let secret = key.expose().lines().nth(2).unwrap();
    assert!(secret.len() > 30 && !holds(asking.scratch.path(), secret));
    let config = std::fs::read_to_string(asking.scratch.path().join("config")).unwrap();
    assert!(!config.contains("remote") && !config.contains(&server.port.to_string()), "{config}");
}

#[test]
fn a_server_with_another_key_is_not_spoken_to() {
    as_root!();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let upstream = Upstream::service();
        let pair = ed25519();
        let server = SshServer::new(kind, Fault::None).authorize(&pair.public);
        let other = SshServer::new("ed25519", Fault::None);
        let asking = asking(&other, &upstream.path(), &pair.private).with(|request| {
            let line = other.host_key.replace(&other.port.to_string(), &server.port.to_string());
            request.host_keys = vec![HostKey::try_from(line).unwrap()];
            request.repository =
                bootagent::machine::git::request::Repository::Remote { url: server.url(&upstream.path()) };
        });
        let (code, text) = asking.fails();
        assert!(!server.log().contains("Accepted"), "{}", server.log());
        assert_eq!(code, Code::HostKey, "{text}");
        let shown = fingerprint(server.host_key.split_once(' ').unwrap().1);
        assert!(text.contains(&shown), "{shown} is not named: {text}");
    }
}

/// In ssh-keygen's words.
fn fingerprint(public: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), public).unwrap();
    let out = Command::new("ssh-keygen").arg("-lf").arg(file.path()).output().unwrap();
    String::from_utf8(out.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn what_cannot_succeed_is_told_before_anything_is_connected() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    server.set_nonblocking(true).unwrap();
    let line = format!("[127.0.0.1]:{port} {}", ed25519().public);
    let known = || vec![HostKey::try_from(line.clone()).unwrap()];
    let key = ed25519().private;
    let encrypted = {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("key");
        make_key(&path, &["-t", "ed25519"]);
        let done = Command::new("ssh-keygen").args(["-q", "-p", "-N", "hunter2", "-f"]).arg(&path).output();
        assert!(done.unwrap().status.success());
        std::fs::read_to_string(&path).unwrap()
    };
    let cut: String = key.lines().take(3).collect::<Vec<_>>().join("\n");
    let as_key = |text: &str| Some(Credential::Key(Secret::new(text)));
    for (credential, host_keys, code, words) in [
        (None, known(), Code::CredentialInvalid, "no credential"),
        (Some(credential()), known(), Code::CredentialInvalid, "private key"),
        (as_key(&encrypted), known(), Code::CredentialInvalid, "encrypted"),
        (as_key(&cut), known(), Code::CredentialInvalid, "cannot be read"),
        (
            as_key("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"),
            known(),
            Code::CredentialInvalid,
            "encrypted",
        ),
        (as_key(&key), Vec::new(), Code::HostUnknown, "the policy has none"),
    ] {
        let asking = Asking::remote(format!("ssh://git@127.0.0.1:{port}/auth.git")).with(|request| {
            request.credential = credential;
            request.host_keys = host_keys;
        });
        let (found, text) = asking.fails();
        assert_eq!(found, code, "{text}");
        assert!(text.contains(words), "{text}");
        let leaked = |secret: &str| secret.lines().any(|line| line.len() > 30 && text.contains(line));
        assert!(!leaked(&key) && !leaked(&encrypted), "{text}");
    }
    let asking = Asking::remote(format!("https://127.0.0.1:{port}/auth.git"))
        .with(|request| request.credential = as_key(&key));
    assert_eq!(asking.fails().0, Code::CredentialInvalid);
    assert!(server.accept().is_err(), "something was connected");
}

#[test]
fn a_key_that_the_server_does_not_know_is_refused_by_its_fingerprint() {
    as_root!();
    let upstream = Upstream::service();
    let (mine, yours) = (ed25519(), ed25519());
    let server = SshServer::new("ed25519", Fault::None).authorize(&yours.public);
    let (code, text) = asking(&server, &upstream.path(), &mine.private).fails();
    assert_eq!(code, Code::GitRefused, "{text}");
    let shown = fingerprint(&mine.public);
    assert!(text.contains(&shown) && text.contains("deploy key"), "{text}");
}

#[test]
fn a_repository_that_is_not_there_is_not_found() {
    as_root!();
    let (upstream, server, asked) = stage(Fault::None);
    let elsewhere = asking(&server, &upstream.root().join("other.git"), "").with(|request| {
        request.credential = asked.request.credential.clone();
    });
    let (code, text) = elsewhere.fails();
    assert_eq!(code, Code::GitNotFound, "{text}");

    let (_upstream, _server, asking) = stage(Fault::Says("echo 'ERROR: Repository not found.' >&2; exit 1"));
    let (code, text) = asking.fails();
    assert_eq!(code, Code::GitNotFound, "{text}");
    assert!(text.contains("Repository not found"), "{text}");
}

#[test]
fn servers_that_allow_nothing_are_told_by_what_they_say() {
    as_root!();
    for (says, code) in [
        ("echo 'Permission denied to acme/auth' >&2; exit 1", Code::GitRefused),
        ("echo 'come back later' >&2; exit 1", Code::GitUnreachable),
        ("exit 0", Code::GitUnreachable),
        ("echo 'Welcome to this machine'", Code::GitUnsupported),
        ("yes complaint >&2", Code::GitUnreachable),
        ("printf '\\033[31mgo away\\n' >&2; exit 1", Code::GitUnreachable),
    ] {
        let (_upstream, _server, asking) = stage(Fault::Says(says));
        let begun = Instant::now();
        let (found, text) = asking.fails();
        assert_eq!(found, code, "{says}: {text}");
        assert!(!text.contains('\u{1b}') && text.len() < 2_000, "{text}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{says}");
    }
}

#[test]
fn a_stall_ends_by_itself() {
    as_root!();
    for (fault, words) in [
        (Fault::Mute, "no connection within 900ms"),
        (Fault::StallAfter(100_000), "sent nothing for 900ms"),
        (Fault::StallAfter(0), "sent nothing for 900ms"),
        (Fault::StallAfter(10), "sent nothing for 900ms"),
    ] {
        let (_upstream, _server, asking) = stage(fault);
        let asking = asking.with(|request| {
            request.timeouts.stall = Duration::from_millis(900);
            if matches!(fault, Fault::Mute) {
                request.timeouts.connect = Duration::from_millis(900);
            }
        });
        let begun = Instant::now();
        let (code, text) = asking.fails();
        assert_eq!(code, Code::GitUnreachable, "{fault:?}: {text}");
        assert!(text.contains(words), "{fault:?}: {text}");
        assert!(begun.elapsed() < PATIENCE / 2, "{fault:?}");
    }
}

#[test]
fn what_ends_early_is_not_taken_for_whole() {
    as_root!();
    for fault in [Fault::Closed, Fault::EndAfter(0), Fault::EndAfter(20), Fault::EndAfter(50_000)] {
        let (_upstream, _server, asking) = stage(fault);
        let (code, text) = asking.fails();
        assert_eq!(code, Code::GitUnreachable, "{fault:?}: {text}");
    }
    let asking = Asking::remote("ssh://git@unknown.invalid/auth.git").with(|request| {
        request.credential = Some(Credential::Key(Secret::new(ed25519().private)));
        let line = format!("unknown.invalid {}", ed25519().public);
        request.host_keys = vec![HostKey::try_from(line).unwrap()];
    });
    let (code, text) = asking.fails();
    assert_eq!(code, Code::GitUnreachable);
    assert!(text.contains("DNS"), "{text}");
}

#[test]
fn too_much_is_too_much() {
    as_root!();
    let (_upstream, _server, asking) = stage(Fault::None);
    let asking = asking.with(|request| request.limits.pack_bytes = 100_000);
    assert_eq!(asking.fails().0, Code::SourceTooLarge);
}

#[test]
fn a_pinned_commit_must_lie_on_the_branch() {
    as_root!();
    let (upstream, server, asked) = stage(Fault::None);
    let asking = |commit| {
        let private = asked.request.credential.clone();
        asking(&server, &upstream.path(), "").with(|request| {
            request.credential = private;
            request.pinned = Some(named(commit).into());
        })
    };
    let pinned = upstream.commit("main", upstream.service_tree("pinned"));
    for age in 0..60 {
        upstream.commit("main", upstream.service_tree(&age.to_string()));
    }
    let source = asking(pinned).fetch().unwrap();
    assert_eq!(source.commit, named(pinned));
    assert_eq!(server.connections(), 2, "each depth is a conversation, and two are enough");

    let stranger = upstream.commit("attack", upstream.service_tree("evil"));
    let (code, text) = asking(stranger).fails();
    assert_eq!(code, Code::CommitNotOnBranch, "{text}");
}
