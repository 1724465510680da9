//! Servers that fail: each failure has its own code, and none of them hangs.

use std::time::{Duration, Instant};

use bootagent::error::Code;

use super::support::certificates::Certificates;
use super::support::git_server::{Fault, GitServer};
use super::support::upstream::{Upstream, noise};
use super::{Asking, CANARY, PAIR, ca_file, credential};

#[track_caller]
fn fault(fault: Fault) -> (Code, String) {
    let upstream = Upstream::service();
    let server = GitServer::http(upstream.root(), fault);
    Asking::remote(format!("{}/auth.git", server.url)).fails()
}

#[test]
fn statuses_have_their_codes() {
    for (status, code) in [
        (401, Code::GitRefused),
        (403, Code::GitRefused),
        (418, Code::GitRefused),
        (404, Code::GitNotFound),
        (410, Code::GitNotFound),
        (408, Code::GitUnreachable),
        (429, Code::GitUnreachable),
        (500, Code::GitUnreachable),
        (503, Code::GitUnreachable),
    ] {
        let (found, text) = fault(Fault::Status(status));
        assert_eq!(found, code, "{text}");
        assert!(text.contains(&status.to_string()), "{text}");
    }
}

#[test]
fn an_unknown_repository_may_be_a_private_one() {
    let (_, text) = fault(Fault::Status(401));
    assert!(text.contains("private") && text.contains("--git-credential-secret"), "{text}");
}

#[test]
fn a_repository_that_the_real_server_does_not_know_is_not_found() {
    let upstream = Upstream::service();
    let server = GitServer::http(upstream.root(), Fault::None);
    assert_eq!(Asking::remote(format!("{}/other.git", server.url)).fails().0, Code::GitNotFound);
}

#[test]
fn a_missing_branch_is_named_with_those_that_are_there() {
    let upstream = Upstream::service();
    let server = GitServer::http(upstream.root(), Fault::None);
    let url = format!("{}/auth.git", server.url);
    for asking in [Asking::remote(url), Asking::local(upstream.path())] {
        let asking = asking.with(|request| request.branch = "stage".try_into().unwrap());
        let (code, text) = asking.fails();
        assert_eq!(code, Code::BranchMissing, "{text}");
        assert!(text.contains("stage"), "{text}");
    }
    let empty = Upstream::new();
    let server = GitServer::http(empty.root(), Fault::None);
    let (code, text) = Asking::remote(format!("{}/auth.git", server.url)).fails();
    assert_eq!(code, Code::BranchMissing, "{text}");
    assert!(text.contains("no branches at all"), "{text}");
}

#[test]
fn answers_that_are_not_gits_are_told_apart() {
    // As of a server under maintenance: it may be git's again in a minute.
    let (code, text) = fault(Fault::WebPage);
    assert_eq!(code, Code::GitUnreachable, "{text}");
    assert!(text.contains("text/html") && text.contains("does git clone work"), "{text}");
    let (code, text) = fault(Fault::GarbageAdvertisement);
    assert_eq!(code, Code::GitUnsupported, "{text}");
    for broken in [Fault::GarbagePack, Fault::EndAfter(50_000), Fault::EndAfter(20)] {
        let (code, text) = fault(broken.clone());
        assert_eq!(code, Code::GitUnreachable, "{broken:?}: {text}");
    }
}

#[test]
fn no_server_there_is_unreachable() {
    for url in ["http://127.0.0.1:1/auth.git", "https://unknown.invalid/auth.git"] {
        let (code, text) = Asking::remote(url).fails();
        assert_eq!(code, Code::GitUnreachable, "{text}");
    }
}

#[test]
fn a_stall_ends_by_itself() {
    for stall in [Fault::Mute, Fault::StallAfter(100_000), Fault::StallAfter(10)] {
        let upstream = Upstream::service();
        let server = GitServer::http(upstream.root(), stall.clone());
        let asking = Asking::remote(format!("{}/auth.git", server.url))
            .with(|request| request.timeouts.stall = Duration::from_millis(700));
        let begun = Instant::now();
        let (code, text) = asking.fails();
        assert_eq!(code, Code::GitUnreachable, "{stall:?}: {text}");
        assert!(text.contains("sent nothing for 700ms"), "{stall:?}: {text}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{stall:?}");
    }
}

#[test]
fn a_stall_inside_tls_ends_by_itself() {
    let upstream = Upstream::service();
    let certificates = Certificates::new("IP:127.0.0.1");
    let server = GitServer::https(upstream.root(), Fault::StallAfter(100_000), &certificates);
    let asking = Asking::remote(format!("{}/auth.git", server.url)).with(|request| {
        request.timeouts.stall = Duration::from_millis(700);
        request.network.ca_file = Some(ca_file(&certificates.authority()));
    });
    let (code, text) = asking.fails();
    assert_eq!(code, Code::GitUnreachable, "{text}");
    assert!(text.contains("sent nothing for 700ms"), "{text}");
}

#[test]
fn too_much_is_too_much() {
    let upstream = Upstream::with(|upstream| {
        let zeros = upstream.blob(vec![0; 5_000_000]);
        let noise = upstream.blob(noise(200_000));
        upstream.tree(&[(0o100_644, "noise", noise), (0o100_644, "zeros", zeros)])
    });
    let server = GitServer::http(upstream.root(), Fault::None);
    let asking = || Asking::remote(format!("{}/auth.git", server.url));
    for asking in [
        asking().with(|request| request.limits.pack_bytes = 100_000),
        // Five megabytes that travel as five thousand bytes.
        asking().with(|request| request.limits.tree_bytes = 1_000_000),
        asking().with(|request| request.limits.entries = 1),
    ] {
        let (code, text) = asking.fails();
        assert_eq!(code, Code::SourceTooLarge, "{text}");
    }
    asking().fetch().unwrap();
}

#[test]
fn a_few_trees_that_unfold_into_millions_are_too_many() {
    let bomb = |leaf: fn(&Upstream) -> git2::Oid| {
        Upstream::with(|upstream| {
            let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
            (0..12).fold(leaf(upstream), |inner, _| {
                upstream.tree(&names.iter().map(|name| (0o040_000, name.as_str(), inner)).collect::<Vec<_>>())
            })
        })
    };
    for upstream in [
        bomb(|upstream| upstream.tree(&[(0o100_644, "f", upstream.blob("x"))])),
        bomb(|upstream| upstream.tree(&[])),
    ] {
        assert_eq!(Asking::local(upstream.path()).fails().0, Code::SourceTooLarge);
    }
}

#[test]
fn redirects_to_other_servers_are_not_followed() {
    let upstream = Upstream::service();
    let certificates = Certificates::new("IP:127.0.0.1,DNS:localhost");
    let other = GitServer::https(upstream.root(), Fault::None, &certificates);
    let plain = GitServer::http(upstream.root(), Fault::None);
    for to in [
        format!("https://localhost:{}{{tail}}", other.port),
        format!("https://127.0.0.1:{}{{tail}}", other.port),
        format!("http://127.0.0.1:{}{{tail}}", plain.port),
        "/login".to_owned(),
        // Round in a circle.
        "{tail}".to_owned(),
    ] {
        let server = GitServer::https(upstream.root(), Fault::Redirect(to.clone()), &certificates);
        let asking = Asking::remote(format!("{}/auth.git", server.url)).with(|request| {
            request.credential = Some(credential());
            request.network.ca_file = Some(ca_file(&certificates.authority()));
        });
        let (code, text) = asking.fails();
        assert_eq!(code, Code::RepositoryInvalid, "{to}: {text}");
        assert!(!server.asked().is_empty());
    }
    assert!(other.asked().is_empty() && plain.asked().is_empty(), "a redirect was followed");
}

#[test]
fn certificates_are_checked() {
    let upstream = Upstream::service();
    let good = Certificates::new("IP:127.0.0.1");
    let wrong_name = Certificates::new("DNS:git.example");
    for (server, authority) in [
        (GitServer::https(upstream.root(), Fault::None, &good), None),
        (GitServer::https(upstream.root(), Fault::None, &good), Some(wrong_name.authority())),
        (GitServer::https(upstream.root(), Fault::None, &wrong_name), Some(wrong_name.authority())),
    ] {
        let asking = Asking::remote(format!("{}/auth.git", server.url)).with(|request| {
            request.credential = Some(credential());
            request.network.ca_file = authority.as_deref().map(ca_file);
        });
        let (code, text) = asking.fails();
        assert_eq!(code, Code::GitUnreachable, "{text}");
        assert!(text.contains("certificate"), "{text}");
        assert!(server.asked().is_empty(), "something was said before the certificate was checked");
    }
}

#[test]
fn a_wrong_credential_is_refused_and_not_repeated() {
    let upstream = Upstream::service();
    let certificates = Certificates::new("IP:127.0.0.1");
    let server = GitServer::https(upstream.root(), Fault::Guarded("b3RoZXI6cGVyc29u"), &certificates);
    let asking = Asking::remote(format!("{}/auth.git", server.url)).with(|request| {
        request.credential = Some(credential());
        request.network.ca_file = Some(ca_file(&certificates.authority()));
    });
    let (code, text) = asking.fails();
    assert_eq!(code, Code::GitRefused, "{text}");
    assert!(text.contains("does not accept the credential") && !text.contains(PAIR), "{text}");
    assert_eq!(server.asked().len(), 1, "asked again with what was refused");
}

#[test]
fn a_credential_does_not_travel_in_the_open() {
    let upstream = Upstream::service();
    let server = GitServer::http(upstream.root(), Fault::None);
    let asking = Asking::remote(format!("{}/auth.git", server.url))
        .with(|request| request.credential = Some(credential()));
    assert_eq!(asking.fails().0, Code::RepositoryInvalid);
    assert!(server.asked().is_empty());
}

#[test]
fn addresses_that_are_none_are_refused_without_a_connection() {
    let upstream = Upstream::service();
    let server = GitServer::http(upstream.root(), Fault::None);
    for url in [
        format!("http://bot:{CANARY}@127.0.0.1:{}/auth.git", server.port),
        format!("http://{CANARY}@127.0.0.1:{}/auth.git", server.port),
        format!("file://{}", upstream.path().display()),
        upstream.path().display().to_string(),
        "git@git.example:acme/auth.git; id".to_owned(),
        "ssh://git.example/auth.git".to_owned(),
    ] {
        assert_eq!(Asking::remote(url).fails().0, Code::RepositoryInvalid);
    }
    assert!(server.asked().is_empty());
}

#[test]
fn a_scratch_that_is_used_already_is_left_alone() {
    let upstream = Upstream::service();
    let server = GitServer::http(upstream.root(), Fault::None);
    let asking = Asking::remote(format!("{}/auth.git", server.url));
    std::fs::write(asking.scratch.path().join("mine"), "x").unwrap();
    assert_eq!(asking.fails().0, Code::Io);
    assert_eq!(asking.scratch.path().read_dir().unwrap().count(), 1);
}

#[test]
fn a_directory_that_is_not_a_repository_is_named() {
    let directory = tempfile::TempDir::new().unwrap();
    let (code, text) = Asking::local(directory.path()).fails();
    assert_eq!(code, Code::RepositoryInvalid);
    assert!(text.contains(&directory.path().display().to_string()), "{text}");
}

/// A server knows the credential: its words, cut or not, must not carry it into a log.
#[test]
fn a_server_that_says_the_credential_again_is_not_quoted() {
    let upstream = Upstream::service();
    let certificates = Certificates::new("IP:127.0.0.1");
    let long: &'static str = format!("/{}{CANARY}", "x".repeat(245)).leak();
    for (status, kind, body) in [
        (200, "text/{authorization}", ""),
        (302, "text/plain", "/{authorization}"),
        (302, "text/plain", long),
    ] {
        let server = GitServer::https(upstream.root(), Fault::Says(status, kind, body), &certificates);
        let asking = Asking::remote(format!("{}/auth.git", server.url)).with(|request| {
            request.credential = Some(credential());
            request.network.ca_file = Some(ca_file(&certificates.authority()));
        });
        let (_, text) = asking.fails();
        assert!(!text.contains("canary") && !text.contains(&PAIR[..12]), "{text}");
        // The long one is cut in the middle of it.
        assert!(body == long || text.contains("[credential]"), "{text}");
    }
}
