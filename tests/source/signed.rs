//! Commits signed by git and ssh-keygen themselves, and what is refused of them.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bootagent::error::Code;
use bootagent::facts::{Signer, Source};
use git2::{ObjectType, Oid, Repository};

use super::support::git_server::{Fault, GitServer};
use super::support::ssh_server::make_key;
use super::support::upstream::{FILE, SUBMODULE, Upstream};
use super::{Asking, named};

const WHO: &str = "alice@example.com";

struct Stage {
    upstream: Upstream,
    clone: PathBuf,
}

impl Stage {
    fn new() -> Stage {
        let upstream = Upstream::service();
        let clone = upstream.root().join("clone");
        let stage = Stage { clone, upstream };
        let root = stage.upstream.root().to_owned();
        let mut git = Command::new("git");
        git.args(["clone", "-q", "-b", "main", "auth.git", "clone"]).current_dir(root);
        assert!(git.status().unwrap().success());
        stage
    }

    /// Makes a key; gives its line of allowed_signers, with these options.
    fn key(&self, name: &str, kind: &[&str], options: &str) -> Signer {
        let public = make_key(&self.upstream.root().join(name), kind);
        Signer::try_from(format!("{WHO} {options} {}", public.trim())).unwrap()
    }

    fn ed25519(&self, name: &str) -> Signer {
        self.key(name, &["-t", "ed25519"], "")
    }

    fn git(&self, arguments: &[&str]) {
        let who = ["-c", "user.name=Alice", "-c", "user.email=alice@example.com", "-c", "gpg.format=ssh"];
        let done = Command::new("git").args(who).args(arguments).current_dir(&self.clone).output().unwrap();
        assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Commits signed with the key of that name, and pushes.
    fn commit_signed(&self, key: &str) {
        let key = format!("user.signingKey={}", self.upstream.root().join(key).display());
        self.git(&["-c", &key, "commit", "-q", "-S", "--allow-empty", "-m", "signed"]);
        self.git(&["push", "-q", "origin", "HEAD:main"]);
    }

    fn tip(&self) -> Oid {
        self.upstream.repository.refname_to_id("refs/heads/main").unwrap()
    }

    /// The newest commit's bytes.
    fn text(&self) -> String {
        let odb = self.upstream.repository.odb().unwrap();
        String::from_utf8(odb.read(self.tip()).unwrap().data().to_vec()).unwrap()
    }

    /// Makes these bytes the newest commit.
    fn replace(&self, commit: &str) {
        let repository: &Repository = &self.upstream.repository;
        let id = repository.odb().unwrap().write(ObjectType::Commit, commit.as_bytes()).unwrap();
        repository.reference("refs/heads/main", id, true, "test").unwrap();
    }

    /// The newest commit without its signature.
    fn payload(&self) -> String {
        let text = self.text();
        let (head, message) = text.split_once("\n\n").unwrap();
        let lines = head.lines().filter(|line| !line.starts_with("gpgsig") && !line.starts_with(' '));
        format!("{}\n\n{message}", lines.collect::<Vec<_>>().join("\n"))
    }

    fn sign(&self, key: &str, namespace: &str, text: &str) -> String {
        let key = self.upstream.root().join(key);
        let mut child = Command::new("ssh-keygen")
            .args(["-Y", "sign", "-n", namespace, "-f"])
            .arg(key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    fn fetch(&self, signers: &[&Signer]) -> Asking {
        let signers: Vec<Signer> = signers.iter().map(|signer| (*signer).clone()).collect();
        Asking::local(self.upstream.path()).with(|request| request.signers = signers)
    }

    #[track_caller]
    fn accepts(&self, signers: &[&Signer]) -> Source {
        self.fetch(signers).fetch().unwrap()
    }

    #[track_caller]
    fn refuses(&self, signers: &[&Signer], code: Code, words: &[&str]) {
        let (was, text) = self.fetch(signers).fails();
        assert_eq!(was, code, "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
    }
}

/// A commit with this text as its signature.
fn with_header(payload: &str, name: &str, signature: &str) -> String {
    let folded = signature.trim_end().replace('\n', "\n ");
    payload.replacen("\n\n", &format!("\n{name} {folded}\n\n"), 1)
}

fn fingerprint(stage: &Stage, key: &str) -> String {
    let path = stage.upstream.root().join(key);
    let shown = Command::new("ssh-keygen").args(["-l", "-f"]).arg(path).output().unwrap();
    String::from_utf8(shown.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn keys_of_every_kind_sign() {
    let stage = Stage::new();
    let kinds: [(&str, &[&str]); 5] = [
        ("ed25519", &["-t", "ed25519"]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("p521", &["-t", "ecdsa", "-b", "521"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
    ];
    let other = stage.ed25519("other");
    for (name, kind) in kinds {
        let signer = stage.key(name, kind, "");
        stage.commit_signed(name);
        let source = stage.accepts(&[&other, &signer]);
        assert_eq!(source.commit, named(stage.tip()));
        let by = source.signed_by.unwrap();
        assert!(by.contains(WHO) && by.contains(&fingerprint(&stage, name)), "{by}");
        stage.refuses(&[&other], Code::CommitSigner, &[&fingerprint(&stage, name), "git.signers"]);
    }
}

#[test]
fn a_signed_commit_comes_from_a_server_too() {
    let stage = Stage::new();
    let (signer, other) = (stage.ed25519("key"), stage.ed25519("other"));
    stage.commit_signed("key");
    let server = GitServer::http(stage.upstream.root(), Fault::None);
    let asking = |signer: &Signer| {
        let signers = vec![signer.clone()];
        Asking::remote(format!("{}/auth.git", server.url)).with(|request| request.signers = signers)
    };
    assert!(asking(&signer).fetch().unwrap().signed_by.is_some());
    assert_eq!(asking(&other).fails().0, Code::CommitSigner);
}

#[test]
fn without_signers_nothing_is_asked_of_a_commit() {
    let stage = Stage::new();
    assert_eq!(stage.accepts(&[]).signed_by, None);
}

#[test]
fn an_unsigned_commit_is_refused_before_anything_of_it_is_read() {
    let stage = Stage::new();
    let signer = stage.ed25519("key");
    stage.refuses(&[&signer], Code::CommitUnsigned, &["it is not signed"]);
    // A tree that a fetch would refuse for itself.
    let link = Oid::from_str(&"1".repeat(40)).unwrap();
    let bad =
        stage.upstream.tree(&[(FILE, "package.json", stage.upstream.blob("{}")), (SUBMODULE, "x", link)]);
    stage.upstream.commit("main", bad);
    stage.refuses(&[&signer], Code::CommitUnsigned, &[]);
    // The signature of the parent is not that of its child.
    stage.git(&["fetch", "-q"]);
    stage.git(&["reset", "-q", "--soft", "origin/main"]);
    stage.commit_signed("key");
    stage.upstream.commit("main", stage.upstream.service_tree("9"));
    stage.refuses(&[&signer], Code::CommitUnsigned, &[]);
}

#[test]
fn a_commit_that_was_changed_after_it_was_signed_is_refused() {
    let stage = Stage::new();
    let signer = stage.ed25519("key");
    stage.commit_signed("key");
    let text = stage.text();
    let tree = &text["tree ".len()..45];
    let other = stage.upstream.service_tree("evil").to_string();
    for changed in [
        text.replacen(tree, &other, 1),
        text.replacen("\n\nsigned", "\n\nsignee", 1),
        text.replacen("author Alice", "author Malice", 1),
        text.replacen("\ngpgsig ", "\nencoding utf-8\ngpgsig ", 1),
        format!("{text}more"),
    ] {
        assert_ne!(changed, text);
        stage.replace(&changed);
        stage.refuses(&[&signer], Code::CommitSignature, &["changed after it was signed"]);
    }
    // Each letter of the signature counts: another one is not verified, not read, or of another key.
    let (from, to) = (text.find("SIGNATURE-----\n").unwrap() + 15, text.find("\n -----END SSH").unwrap());
    let letters: Vec<usize> = (from..to).filter(|at| text.as_bytes()[*at].is_ascii_alphanumeric()).collect();
    for at in letters.iter().step_by(7) {
        let letter = if &text[*at..=*at] == "A" { "B" } else { "A" };
        stage.replace(&format!("{}{letter}{}", &text[..*at], &text[at + 1..]));
        let (code, text) = stage.fetch(&[&signer]).fails();
        assert!(matches!(code, Code::CommitSignature | Code::CommitSigner), "{at}: {text}");
    }
    stage.replace(&text);
    stage.accepts(&[&signer]);
}

#[test]
fn only_one_signature_for_commits_by_the_name_of_this_hash_counts() {
    let stage = Stage::new();
    let signer = stage.ed25519("key");
    stage.commit_signed("key");
    let (text, payload) = (stage.text(), stage.payload());
    // A signature for the commit's name by SHA-256 is not part of what was signed, and does not count alone.
    let good = stage.sign("key", "git", &payload);
    let both = with_header(&text, "gpgsig-sha256", &good);
    stage.replace(&both);
    stage.accepts(&[&signer]);
    stage.replace(&with_header(&payload, "gpgsig-sha256", &good));
    stage.refuses(&[&signer], Code::CommitUnsigned, &["gpgsig-sha256"]);
    stage.replace(&with_header(&payload, "gpgsig", &stage.sign("key", "file", &payload)));
    stage.refuses(&[&signer], Code::CommitSignature, &["its namespace is file"]);
    stage.replace(&with_header(&with_header(&payload, "gpgsig", &good), "gpgsig", &good));
    stage.refuses(&[&signer], Code::CommitSignature, &["more than one"]);
    for garbage in [
        "",
        "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----",
        "\u{1b}[31m",
        &"A".repeat(20_000),
    ] {
        stage.replace(&with_header(&payload, "gpgsig", garbage));
        stage.refuses(&[&signer], Code::CommitSignature, &[]);
    }
    for (foreign, word) in [("PGP SIGNATURE", "OpenPGP"), ("SIGNED MESSAGE", "X.509")] {
        let signature = format!("-----BEGIN {foreign}-----\n\nAAAA\n-----END {foreign}-----");
        stage.replace(&with_header(&payload, "gpgsig", &signature));
        stage.refuses(&[&signer], Code::CommitUnsigned, &[word]);
    }
}

#[test]
fn a_key_signs_only_while_it_is_valid() {
    let stage = Stage::new();
    stage.ed25519("key");
    stage.commit_signed("key");
    let public = fs::read_to_string(stage.upstream.root().join("key.pub")).unwrap();
    let with =
        |options: &str| Signer::try_from(format!("{WHO} {options} {public}").replace('\n', "")).unwrap();
    let (expired, early, now) = (
        with("valid-before=\"20200101\""),
        with("valid-after=\"29990101\""),
        with("valid-after=\"20200101\",valid-before=\"29990101\""),
    );
    stage.refuses(&[&expired], Code::CommitSigner, &["valid-before", WHO]);
    stage.refuses(&[&early], Code::CommitSigner, &["valid-after", WHO]);
    stage.accepts(&[&expired, &now]);
}

#[test]
fn a_security_key_signs() {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use sha2::{Digest, Sha256};

    let string = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let kind = b"sk-ssh-ed25519@openssh.com";
    let key = [string(kind), string(pair.public_key().as_ref()), string(b"ssh:")].concat();
    let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
    let signer = Signer::try_from(format!("{WHO} sk-ssh-ed25519@openssh.com {}", base64(&key))).unwrap();

    let stage = Stage::new();
    let payload = stage.payload();
    let hash = Sha256::digest(payload.as_bytes());
    let message =
        [&b"SSHSIG"[..], &string(b"git"), &string(b""), &string(b"sha256"), &string(&hash)].concat();
    let touched = [1, 0, 0, 0, 9];
    let signed = [&Sha256::digest(b"ssh:")[..], &touched, &Sha256::digest(&message)].concat();
    let signature = [&string(kind)[..], &string(pair.sign(&signed).as_ref()), &touched].concat();
    let whole = [
        &b"SSHSIG\0\0\0\x01"[..],
        &string(&key),
        &string(b"git"),
        &string(b""),
        &string(b"sha256"),
        &string(&signature),
    ]
    .concat();
    let lines = base64(&whole);
    let lines: Vec<&str> =
        lines.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let text = format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----", lines.join("\n"));
    stage.replace(&with_header(&payload, "gpgsig", &text));
    stage.accepts(&[&signer]);
    stage.replace(&with_header(&payload.replacen("change", "charge", 1), "gpgsig", &text));
    stage.refuses(&[&signer], Code::CommitSignature, &[]);
}
