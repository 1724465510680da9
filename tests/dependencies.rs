//! What may not creep in with a dependency: a second TLS stack, a library of the system, a known hole.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

const REFUSED: &[(&str, &str)] = &[
    ("openssl-sys", "there is one TLS stack, rustls"),
    ("native-tls", "there is one TLS stack, rustls"),
    ("libssh2-sys", "it wants OpenSSL"),
    ("libdbus-sys", "it is a library of the system"),
    ("libsystemd-sys", "it is a library of the system"),
    ("aws-sdk-ec2", "it compiles for minutes; instance metadata says what is needed"),
    ("backoff", "RUSTSEC-2025-0012"),
    ("serde_yml", "RUSTSEC-2025-0068"),
    ("tokio-tar", "RUSTSEC-2025-0111"),
];

fn lock() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap()
}

fn is_locked(lock: &str, name: &str) -> bool {
    lock.lines().any(|line| line == format!("name = \"{name}\""))
}

#[test]
fn nothing_refused_is_locked() {
    let lock = lock();
    assert!(is_locked(&lock, "rustls") && is_locked(&lock, "git2"), "the lock file is read wrongly");
    for (name, why) in REFUSED {
        assert!(
            !is_locked(&lock, name),
            "{name} is in Cargo.lock: {why} (cargo tree -i {name} says who asks)"
        );
    }
}

#[test]
fn everything_comes_from_one_registry() {
    let lock = lock();
    let sources: BTreeSet<&str> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert!(
        sources.len() == 1 && sources.iter().all(|source| source.starts_with("\"registry+")),
        "{sources:?}"
    );
}

/// docs/explanation/cost.md names the limit.
#[test]
fn no_more_is_locked_than_was_decided() {
    let packages = lock().lines().filter(|line| *line == "[[package]]").count();
    assert!((100..=380).contains(&packages), "{packages} packages in Cargo.lock: is the new one worth it?");
}
