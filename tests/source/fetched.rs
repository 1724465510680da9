//! Fetches that succeed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bootagent::error::Code;
use bootagent::facts::{CommitPrefix, EntryKind, Source};
use bootagent::machine::jail::request::{decode_reply, encode_request};

use super::support::certificates::Certificates;
use super::support::git_server::{Fault, GitServer};
use super::support::upstream::{FILE, Upstream, noise};
use super::{Asking, CANARY, PAIR, ca_file, credential, exe, holds, named};

fn objects(asking: &Asking) -> usize {
    let mut count = 0;
    let repository = git2::Repository::open_bare(asking.scratch.path()).unwrap();
    repository
        .odb()
        .unwrap()
        .foreach(|_| {
            count += 1;
            true
        })
        .unwrap();
    count
}

#[test]
fn the_branchs_newest_commit_comes_alone() {
    let upstream = Upstream::service();
    let newest = upstream.commit("main", upstream.service_tree("2"));
    upstream.commit("other", upstream.service_tree("3"));
    let server = GitServer::http(upstream.root(), Fault::None);
    let asking = Asking::remote(format!("{}/auth.git", server.url));
    let source = asking.fetch().unwrap();

    assert_eq!(source.commit, named(newest));
    assert_eq!(source.repository, format!("{}/auth.git", server.url));
    let listed: Vec<_> = source.entries.iter().map(|entry| (entry.path.as_str(), entry.kind)).collect();
    use EntryKind::{Executable, File, Symlink};
    assert_eq!(
        listed,
        [
            (".gitattributes", File),
            ("bin/start", Executable),
            ("bin/up", Symlink),
            ("bulk", File),
            ("dangling", Symlink),
            ("lines", File),
            ("package-link.json", Symlink),
            ("package.json", File),
            ("server.js", File),
        ]
    );
    // The symlink to a wanted file is not followed; what is not there is not made up.
    assert_eq!(source.evidence.keys().collect::<Vec<_>>(), ["bin/start", "package.json"]);
    assert_eq!(source.text("package.json"), Some("{\"version\":\"2\"}"));
    assert_eq!(source.read("package-link.json"), Err("it is a symbolic link"));
    // One commit, two trees, nine blobs: nothing of the commit before, nothing of the other branch.
    assert_eq!(objects(&asking), 12);
    let agents: Vec<_> = server.asked().iter().map(|asked| asked.headers["user-agent"].clone()).collect();
    assert!(agents.iter().all(|agent| agent.starts_with("git/2.0 (bootagent ")), "{agents:?}");
    assert!(server.asked().iter().all(|asked| !asked.headers.contains_key("authorization")));
}

#[test]
fn evidence_is_text_and_has_an_end() {
    let upstream = Upstream::service();
    let asking = Asking::local(upstream.path()).with(|request| {
        request.evidence = ["bulk", "package.json", "lines"].map(String::from).into();
        request.limits.evidence_bytes = 14;
    });
    let source = asking.fetch().unwrap();
    assert_eq!(source.evidence.keys().collect::<Vec<_>>(), ["lines"], "15 bytes are more than 14");
    assert!(source.has("package.json") && source.has("bulk"));
    assert_eq!(source.read("package.json"), Err("it has 15 bytes, and the limit is 14"));
    assert_eq!((source.read("absent"), source.read("lines").is_ok()), (Ok(None), true));
    let asking = Asking::local(upstream.path()).with(|request| request.evidence = vec!["bulk".into()]);
    let source = asking.fetch().unwrap();
    assert!(source.evidence.is_empty(), "noise is not text");
    assert_eq!(source.read("bulk"), Err("it is not UTF-8 text"));
}

#[test]
fn a_pinned_commit_of_the_branch_is_found_behind_newer_ones() {
    let upstream = Upstream::service();
    let pinned = upstream.commit("main", upstream.service_tree("pinned"));
    for age in 0..60 {
        upstream.commit("main", upstream.service_tree(&age.to_string()));
    }
    let newest = upstream.repository.refname_to_id("refs/heads/main").unwrap();
    let server = GitServer::http(upstream.root(), Fault::None);
    let asking = |commit| {
        Asking::remote(format!("{}/auth.git", server.url))
            .with(|request| request.pinned = Some(named(commit).into()))
    };

    let far = asking(pinned);
    let source = far.fetch().unwrap();
    assert_eq!(source.commit, named(pinned));
    assert_eq!(source.text("package.json"), Some("{\"version\":\"pinned\"}"));

    let near = asking(newest);
    assert_eq!(near.fetch().unwrap().commit, named(newest));
    assert_eq!(objects(&near), 12, "the newest needs no history");
}

/// As a person copies it from a status or from git's own log.
#[test]
fn the_beginning_of_a_commit_s_id_means_that_commit() {
    let upstream = Upstream::service();
    let old = upstream.commit("main", upstream.service_tree("old"));
    for age in 0..60 {
        upstream.commit("main", upstream.service_tree(&age.to_string()));
    }
    let newest = upstream.repository.refname_to_id("refs/heads/main").unwrap();
    let server = GitServer::http(upstream.root(), Fault::None);
    let url = format!("{}/auth.git", server.url);
    let places = || [Asking::remote(&url), Asking::local(upstream.path())];
    for commit in [old, newest] {
        for asking in places() {
            let asking = asking.with(|request| request.pinned = Some(begun(commit, 12)));
            assert_eq!(asking.fetch().unwrap().commit, named(commit));
        }
    }
    let stranger = upstream.commit("other", upstream.service_tree("other"));
    for asking in places() {
        let (code, told) = asking.with(|request| request.pinned = Some(begun(stranger, 7))).fails();
        assert_eq!(code, Code::CommitNotOnBranch, "{told}");
        assert!(told.contains(&stranger.to_string()[..7]), "{told}");
    }
}

#[test]
fn a_beginning_that_several_commits_share_is_told_with_their_ids() {
    let upstream = Upstream::service();
    let (one, other) = upstream.twins("main");
    let alike = begun(one, 7);
    assert!(alike.fits(&named(other)), "{one} {other}");
    let server = GitServer::http(upstream.root(), Fault::None);
    let url = format!("{}/auth.git", server.url);
    let places = || [Asking::remote(&url), Asking::local(upstream.path())];
    for asking in places() {
        let (code, told) = asking.with(|request| request.pinned = Some(alike.clone())).fails();
        assert_eq!(code, Code::CommitAmbiguous, "{told}");
        assert!(told.contains(&one.to_string()) && told.contains(&other.to_string()), "{told}");
    }
    for asking in places() {
        let asking = asking.with(|request| request.pinned = Some(begun(other, 20)));
        assert_eq!(asking.fetch().unwrap().commit, named(other));
    }
}

fn begun(commit: git2::Oid, digits: usize) -> CommitPrefix {
    CommitPrefix::try_from(&commit.to_string()[..digits]).unwrap()
}

#[test]
fn what_came_with_one_depth_does_not_come_again_with_the_next() {
    let upstream = Upstream::new();
    let with_noise = |seed: usize| {
        // Nothing that a pack could shorten by another commit's.
        let bytes = noise(20_000 * (seed + 1)).split_off(20_000 * seed);
        upstream.commit("main", upstream.tree(&[(FILE, "noise", upstream.blob(bytes))]))
    };
    let pinned = with_noise(0);
    for seed in 1..=70 {
        with_noise(seed);
    }
    let server = GitServer::http(upstream.root(), Fault::None);
    let asking = Asking::remote(format!("{}/auth.git", server.url)).with(|request| {
        request.pinned = Some(named(pinned).into());
        // All of it once is 1.4 MB, and the first fifty commits are 1 MB.
        request.limits.pack_bytes = 1_900_000;
    });
    assert_eq!(asking.fetch().unwrap().commit, named(pinned));
}

#[test]
fn a_branch_that_is_moved_while_it_is_fetched_is_asked_anew() {
    let upstream = Upstream::service();
    let other = upstream.commit("other", upstream.service_tree("after"));
    let server = GitServer::http(upstream.root(), Fault::ForcePushed);
    let source = Asking::remote(format!("{}/auth.git", server.url)).fetch().unwrap();
    assert_eq!(source.commit, named(other));
    assert_eq!(source.text("package.json"), Some("{\"version\":\"after\"}"));
}

#[test]
fn a_commit_elsewhere_is_refused() {
    let upstream = Upstream::service();
    let stranger = upstream.commit("attack", upstream.service_tree("evil"));
    for age in 0..60 {
        upstream.commit("long", upstream.service_tree(&age.to_string()));
    }
    let server = GitServer::http(upstream.root(), Fault::None);
    for branch in ["main", "long"] {
        let asking = Asking::remote(format!("{}/auth.git", server.url)).with(|request| {
            request.branch = branch.try_into().unwrap();
            request.pinned = Some(named(stranger).into());
        });
        assert_eq!(asking.fails().0, Code::CommitNotOnBranch);
    }
    let asking = Asking::local(upstream.path()).with(|request| request.pinned = Some(named(stranger).into()));
    assert_eq!(asking.fails().0, Code::CommitNotOnBranch);
}

#[test]
fn a_credential_goes_to_its_server_and_nowhere_else() {
    let upstream = Upstream::service();
    let certificates = Certificates::new("IP:127.0.0.1");
    let server = GitServer::https(upstream.root(), Fault::Guarded(PAIR), &certificates);
    let asking = Asking::remote(format!("{}/auth.git", server.url)).with(|request| {
        request.credential = Some(credential());
        request.network.ca_file = Some(ca_file(&certificates.authority()));
    });
    let source = asking.fetch().unwrap();
    assert!(source.has("server.js"));
    assert!(!holds(asking.scratch.path(), CANARY) && !holds(asking.scratch.path(), PAIR));
    assert!(server.asked().iter().all(|asked| asked.headers.contains_key("authorization")));
}

#[test]
fn a_redirect_on_the_same_server_is_followed_and_kept() {
    let upstream = Upstream::service();
    let server = GitServer::http(upstream.root(), Fault::Moved("/old.git", "/auth.git"));
    let source = Asking::remote(format!("{}/old.git", server.url)).fetch().unwrap();
    assert!(source.has("server.js"));
    let posts: Vec<_> = server.asked().into_iter().filter(|asked| asked.line.starts_with("POST")).collect();
    assert!(!posts.is_empty() && posts.iter().all(|asked| asked.line.contains("/auth.git/")), "{posts:?}");
}

#[test]
fn a_local_repository_is_read_where_it_is() {
    let upstream = Upstream::service();
    let newest = named(upstream.repository.refname_to_id("refs/heads/main").unwrap());
    let asking = Asking::local(upstream.path());
    assert_eq!(asking.fetch().unwrap().commit, newest);
    assert_eq!(asking.scratch.path().read_dir().unwrap().count(), 0, "nothing is fetched");

    // A clone knows other branches only as its remote's.
    let clone = upstream.root().join("clone");
    let git = |arguments: &[&str]| {
        let status = Command::new("git").args(arguments).current_dir(upstream.root()).status().unwrap();
        assert!(status.success());
    };
    upstream.commit("stage", upstream.service_tree("stage"));
    git(&["clone", "-q", "-b", "main", "auth.git", "clone"]);
    let source = Asking::local(&clone).with(|request| request.branch = "stage".try_into().unwrap());
    assert_eq!(source.fetch().unwrap().text("package.json"), Some("{\"version\":\"stage\"}"));
}

#[test]
fn the_childs_surroundings_do_not_count() {
    let upstream = Upstream::service();
    let server = GitServer::http(upstream.root(), Fault::None);
    let asking = Asking::remote(format!("{}/auth.git", server.url));
    let home = tempfile::TempDir::new().unwrap();
    // Another transport: over ours, libgit2's idea of the address would not count.
    let rewrite = format!("[url \"file:///nonexistent/\"]\n\tinsteadOf = {}/\n", server.url);
    std::fs::create_dir_all(home.path().join("git")).unwrap();
    std::fs::write(home.path().join(".gitconfig"), &rewrite).unwrap();
    std::fs::write(home.path().join("git/config"), &rewrite).unwrap();
    let mut child = Command::new(exe())
        .args(["__child", "fetch"])
        .env_clear()
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .envs(
            ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:1")),
        )
        .envs([
            ("SSL_CERT_FILE", "/dev/null"),
            ("GIT_DIR", "/nonexistent"),
            ("GIT_OBJECT_DIRECTORY", "/nonexistent"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&encode_request(&asking.request).unwrap()).unwrap();
    let reply = child.wait_with_output().unwrap().stdout;
    assert!(decode_reply::<Source>(&reply).unwrap().has("server.js"));
}

/// A name that only the proxy knows: nothing can have gone past it.
#[test]
fn a_proxy_is_used_when_the_request_names_one() {
    let upstream = Upstream::service();
    let server = GitServer::http(upstream.root(), Fault::None);
    let (proxy, tunnels) = proxy();
    let url = server.url.replace("127.0.0.1", BEHIND_THE_PROXY);
    let asking = |url: &str, no_proxy: &[&str]| {
        Asking::remote(format!("{url}/auth.git")).with(|request| {
            request.network.proxy = Some(proxy.as_str().try_into().unwrap());
            request.network.no_proxy = no_proxy.iter().map(|host| (*host).try_into().unwrap()).collect();
        })
    };
    asking(&url, &[]).fetch().unwrap();
    let used = tunnels.load(Ordering::SeqCst);
    assert!(used > 0);
    // What is reached without it: this machine always, a host and all below it if the policy says so.
    asking(&server.url, &[]).fetch().unwrap();
    for direct in [BEHIND_THE_PROXY, "proxied.invalid", ".invalid"] {
        let (code, text) = asking(&url, &[direct]).fails();
        assert_eq!(code, Code::GitUnreachable, "{direct}: {text}");
    }
    assert_eq!(tunnels.load(Ordering::SeqCst), used);
}

#[test]
fn a_proxy_that_is_down_or_refuses_is_named() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for proxy in [format!("http://{closed}"), refusing_proxy()] {
        let asking = Asking::remote(format!("http://{BEHIND_THE_PROXY}/auth.git"))
            .with(|request| request.network.proxy = Some(proxy.as_str().try_into().unwrap()));
        let (code, text) = asking.fails();
        assert_eq!(code, Code::GitUnreachable, "{text}");
        assert!(text.contains(&format!("by the proxy {proxy}")), "{text}");
    }
}

fn refusing_proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    url
}

const BEHIND_THE_PROXY: &str = "git.proxied.invalid";

/// A CONNECT proxy that counts its tunnels.
fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let tunnels = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tunnels);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || tunnel(stream));
        }
    });
    (url, tunnels)
}

fn tunnel(mut near: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        near.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let target = String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().to_owned();
    let mut far = TcpStream::connect(target.replace(BEHIND_THE_PROXY, "127.0.0.1")).unwrap();
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut near_in, &mut far_out);
        let _ = far_out.shutdown(std::net::Shutdown::Write);
    });
    let _ = std::io::copy(&mut far, &mut near);
    let _ = near.shutdown(std::net::Shutdown::Write);
}
