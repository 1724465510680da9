//! A GitHub App buys a token for its repository; each way in which GitHub refuses has its name.

use std::process::Command;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use aws_smithy_types::base64;
use bootagent::error::Code;
use bootagent::fault::Fault as Kind;
use bootagent::machine::git::credential::{App, Credential};
use bootagent::machine::now;
use bootagent::secret::Secret;
use tempfile::TempDir;

use super::support::certificates::Certificates;
use super::support::git_server::{APP_TOKEN, Fault, GitServer};
use super::support::upstream::Upstream;
use super::{Asking, ca_file, holds};

const GRANTED: &str = concat!(
    r#"{"token": "ghs_123456_canary-6f1c2a90."#,
    "eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9",
    "eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9",
    "eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9",
    "eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9",
    r#"", "expires_at": "2026-11-22T06:00:00Z"}"#
);

struct Stage {
    server: GitServer,
    asking: Asking,
    public: Vec<u8>,
    _kept: (Upstream, Certificates),
}

fn stage(fault: Fault) -> Stage {
    let upstream = Upstream::service();
    std::os::unix::fs::symlink(".", upstream.root().join("acme")).unwrap();
    let certificates = Certificates::new("IP:127.0.0.1");
    let server = GitServer::https(upstream.root(), fault, &certificates);
    let keys = TempDir::new().unwrap();
    let openssl = |arguments: &[&str]| {
        let done = Command::new("openssl").args(arguments).current_dir(keys.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    openssl(&["genrsa", "-traditional", "-out", "app.pem", "2048"]);
    openssl(&["rsa", "-in", "app.pem", "-RSAPublicKey_out", "-outform", "DER", "-out", "app.der"]);
    let private_key = Secret::new(std::fs::read_to_string(keys.path().join("app.pem")).unwrap());
    let asking = Asking::remote(format!("{}/acme/auth.git", server.url)).with(|request| {
        request.network.ca_file = Some(ca_file(&certificates.authority()));
        request.credential =
            Some(Credential::App(App { app_id: "4711".into(), installation_id: "815".into(), private_key }));
    });
    let public = std::fs::read(keys.path().join("app.der")).unwrap();
    Stage { server, asking, public, _kept: (upstream, certificates) }
}

fn decoded(part: &str) -> Vec<u8> {
    let padded = part.replace('-', "+").replace('_', "/") + &"=".repeat((4 - part.len() % 4) % 4);
    base64::decode(padded).unwrap()
}

#[test]
fn an_app_fetches_with_a_token_for_this_repository() {
    let stage = stage(Fault::App(201, GRANTED, 0));
    assert!(stage.asking.fetch().unwrap().has("server.js"));
    assert!(!holds(stage.asking.scratch.path(), &APP_TOKEN[..40]));

    let asked = stage.server.asked();
    assert_eq!(asked[0].line, "POST /api/v3/app/installations/815/access_tokens HTTP/1.1");
    let wanted: serde_json::Value = serde_json::from_slice(&asked[0].body).unwrap();
    assert_eq!(wanted, serde_json::json!({"repositories": ["auth"], "permissions": {"contents": "read"}}));
    assert_eq!(asked.iter().filter(|asked| asked.line.contains("/api/")).count(), 1, "one token is enough");

    let bearer = asked[0].headers["authorization"].strip_prefix("Bearer ").unwrap();
    let (said, signature) = bearer.rsplit_once('.').unwrap();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &stage.public);
    key.verify(said.as_bytes(), &decoded(signature)).expect("the signature holds");
    let claims: serde_json::Value =
        serde_json::from_slice(&decoded(said.split_once('.').unwrap().1)).unwrap();
    let time = |claim: &str| claims[claim].as_u64().unwrap();
    assert_eq!(claims["iss"], "4711");
    assert!(time("iat") + 60 <= now() && time("exp") > now() && time("exp") - time("iat") <= 600, "{claims}");
}

#[test]
fn each_refusal_is_named() {
    for (status, body, ahead, fault, words) in [
        (401, r#"{"message": "A JSON web token could not be decoded"}"#, 0, Kind::GitRefused, "4711"),
        (
            401,
            r#"{"message": "'Expiration time' claim ('exp') is too far"}"#,
            -3600,
            Kind::ClockWrong,
            "ahead of GitHub's",
        ),
        (401, r#"{"message": "'Issued at' claim"}"#, 3600, Kind::ClockWrong, "behind GitHub's"),
        (404, r#"{"message": "Not Found"}"#, 0, Kind::GitRefused, "no installation 815"),
        (
            422,
            r#"{"message": "There is at least one repository that"}"#,
            0,
            Kind::GitRefused,
            "not installed on this",
        ),
        (403, r#"{"message": "This installation has been suspended"}"#, 0, Kind::GitRefused, "suspended"),
        (403, r#"{"message": "API rate limit exceeded"}"#, 0, Kind::GitBusy, "rate limit"),
        (503, "busy", 0, Kind::GitBusy, "503"),
        (302, "", 0, Kind::GitRefused, "302"),
        (201, r#"{"token": 7, "x": "canary-6f1c2a90"}"#, 0, Kind::GitBrokenOff, "GitHub's format"),
    ] {
        let stage = stage(Fault::App(status, body, ahead));
        let error = stage.asking.fetch().unwrap_err();
        assert_eq!(Kind::of(&error), Some(fault), "{status} {body}: {error}");
        assert!(error.to_string().contains(words), "{words} is not said: {error}");
        assert!(!error.to_string().contains("canary"), "{error}");
        assert_eq!(stage.server.asked().len(), 1, "git was asked without a token");
    }
}

#[test]
fn an_answer_without_an_end_has_one() {
    let body =
        Box::leak(format!("{{\"token\": \"short\", \"x\": \"{}\"}}", "x".repeat(200_000)).into_boxed_str());
    let stage = stage(Fault::App(201, body, 0));
    assert_eq!(stage.asking.fails().0, Code::GitUnreachable);
    assert_eq!(stage.server.asked().len(), 1, "it was taken for a token");
}

#[test]
fn what_cannot_be_an_apps_is_told_before_anything_is_asked() {
    let stage = stage(Fault::App(201, GRANTED, 0));
    let with = |private_key: &str, url: String| {
        let private_key = Secret::new(private_key);
        Asking::remote(url).with(|request| {
            request.network = stage.asking.request.network.clone();
            request.credential =
                Some(Credential::App(App { app_id: "1".into(), installation_id: "2".into(), private_key }));
        })
    };
    let Some(Credential::App(App { private_key, .. })) = &stage.asking.request.credential else { panic!() };
    let url = &stage.server.url;
    let cut = private_key.expose().lines().take(5).collect::<Vec<_>>().join("\n");
    for asking in [
        with("no key", format!("{url}/acme/auth.git")),
        with(&cut, format!("{url}/acme/auth.git")),
        with(private_key.expose(), format!("{url}/auth.git")),
        with(private_key.expose(), format!("{url}/a/b/auth.git")),
        with(private_key.expose(), "ssh://git@github.com/acme/auth.git".to_owned()),
    ] {
        let (code, text) = asking.fails();
        assert_eq!(code, Code::CredentialInvalid, "{text}");
    }
    let plain = with(private_key.expose(), "http://127.0.0.1:1/acme/auth.git".to_owned());
    assert_eq!(plain.fails().0, Code::RepositoryInvalid);
    assert!(stage.server.asked().is_empty());
}
