//! Repositories and servers that this program does not read: told at once, by a code of their own.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use bootagent::error::{Code, Exit};
use bootagent::facts::HostKey;
use bootagent::fault::Fault as Kind;
use bootagent::machine::git::credential::Credential;
use bootagent::secret::Secret;
use nix::unistd::geteuid;
use tempfile::TempDir;

use super::Asking;
use super::ssh::{asking as over_ssh, ed25519};
use super::support::git_server::{Fault, GitServer};
use super::support::ssh_server::{Fault as SshFault, SshServer};
use super::support::upstream::Upstream;

/// Which words of the cause are there, and that nothing of it is tried again.
#[track_caller]
fn is_unsupported(asking: &Asking, words: &str) {
    let error = asking.fetch().expect_err("the fetch succeeded");
    assert_eq!((error.code(), error.exit()), (Code::GitUnsupported, Exit::Invalid), "{error}");
    assert_eq!(Kind::of(&error).map(Kind::is_retried), Some(false), "{error}");
    assert!(error.to_string().contains(words), "no {words}: {error}");
}

fn git(directory: &Path, arguments: &[&str]) {
    let done = Command::new("git").args(arguments).current_dir(directory).output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// `auth.git` with one commit on `main`, made by git itself.
fn made_by_git(object_format: &str) -> TempDir {
    let root = TempDir::new().unwrap();
    let format = format!("--object-format={object_format}");
    git(root.path(), &["init", "-q", "--bare", "-b", "main", &format, "auth.git"]);
    git(root.path(), &["clone", "-q", "auth.git", "work"]);
    let work = root.path().join("work");
    std::fs::write(work.join("server.js"), "listen()\n").unwrap();
    git(&work, &["add", "."]);
    let who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
    git(&work, &[&who[..], &["commit", "-q", "-m", "first"]].concat());
    git(&work, &["push", "-q", "origin", "HEAD:main"]);
    root
}

#[test]
fn a_repository_of_another_object_format() {
    let (known, other) = (made_by_git("sha1"), made_by_git("sha256"));
    let at = |root: &Path| {
        let server = GitServer::http(root, Fault::None);
        Asking::remote(format!("{}/auth.git", server.url))
    };
    assert!(at(known.path()).fetch().unwrap().has("server.js"));
    is_unsupported(&at(other.path()), "sha256");
    for directory in ["auth.git", "work"] {
        assert!(Asking::local(known.path().join(directory)).fetch().unwrap().has("server.js"));
        is_unsupported(&Asking::local(other.path().join(directory)), "not named by SHA-1");
    }
    if geteuid().is_root() {
        let pair = ed25519();
        let server = SshServer::new("ed25519", SshFault::None).authorize(&pair.public);
        is_unsupported(&over_ssh(&server, &other.path().join("auth.git"), &pair.private), "sha256");
        assert!(over_ssh(&server, &known.path().join("auth.git"), &pair.private).fetch().is_ok());
    }
}

#[test]
fn a_repository_of_a_kind_that_came_later() {
    let root = made_by_git("sha1");
    let work = root.path().join("work");
    git(&work, &["config", "core.repositoryformatversion", "1"]);
    assert!(Asking::local(&work).fetch().is_ok());
    git(&work, &["config", "extensions.refstorage", "later"]);
    is_unsupported(&Asking::local(&work), "refstorage");
}

#[test]
fn a_server_that_answers_in_another_version_of_the_protocol() {
    let upstream = Upstream::service();
    let server = GitServer::http(upstream.root(), Fault::VersionTwo);
    is_unsupported(&Asking::remote(format!("{}/auth.git", server.url)), "protocol");
    assert_eq!(server.asked().len(), 1, "asked again");
}

#[test]
fn a_server_that_has_a_whole_history_only() {
    let upstream = Upstream::service();
    let server = GitServer::http(upstream.root(), Fault::Without(" shallow"));
    is_unsupported(&Asking::remote(format!("{}/auth.git", server.url)), "without its history");
    // What else a server may not have is done without.
    let server = GitServer::http(upstream.root(), Fault::Without(" side-band-64k"));
    assert!(Asking::remote(format!("{}/auth.git", server.url)).fetch().is_ok());
}

#[test]
fn a_server_that_does_not_know_what_is_asked_of_it() {
    let upstream = Upstream::service();
    for (status, words) in [(501, "501"), (505, "505")] {
        let server = GitServer::http(upstream.root(), Fault::Status(status));
        is_unsupported(&Asking::remote(format!("{}/auth.git", server.url)), words);
    }
}

/// Every client that connects is greeted with these words.
fn says(words: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(words.as_bytes());
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    port
}

#[test]
fn a_port_at_which_neither_tls_nor_ssh_is_spoken() {
    let port = says("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    is_unsupported(&Asking::remote(format!("https://127.0.0.1:{port}/auth.git")), "InvalidContentType");
    let port = says("220 mail.example ESMTP\r\n".repeat(30).leak());
    let pair = ed25519();
    let asking = Asking::remote(format!("ssh://git@127.0.0.1:{port}/auth.git")).with(|request| {
        request.credential = Some(Credential::Key(Secret::new(&pair.private)));
        request.host_keys = vec![HostKey::try_from(format!("[127.0.0.1]:{port} {}", pair.public)).unwrap()];
    });
    is_unsupported(&asking, "does not speak ssh");
}
