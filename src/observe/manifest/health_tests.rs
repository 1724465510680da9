//! `health` and `port` of a manifest: which values are accepted, and which are refused with their line.

use super::*;
use crate::planner::runtime::tables;

fn read(text: &str) -> Manifest {
    Manifest::parse("bootagent.toml", text, None, &tables()).unwrap()
}

fn error(text: &str) -> String {
    Manifest::parse("bootagent.toml", text, None, &tables()).unwrap_err().to_string()
}

#[test]
fn a_check_that_contradicts_the_other_keys_is_an_error_with_its_line() {
    for (text, expected) in [
        ("[health]\ncheck = \"http\"", "2:9: health.check is \"http\", which needs health.path"),
        ("[health]\npath = \"/x\"\ncheck = \"port\"", "3:9: health.check is \"port\", and health.path asks"),
        ("[health]\ncheck = \"process\"\npath = \"/x\"", "2:9: health.check is \"process\", and health.path"),
        ("port = 3000\nhealth.check = \"process\"", "2:16: health.check is \"process\", and port asks"),
        (
            "health = \"/x\"\n[environments.test]\nhealth = { check = \"process\" }",
            "3:20: health.check is \"process\", and health.path",
        ),
    ] {
        let error = error(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    for (text, check) in [
        ("health.check = \"process\"", Strength::Process),
        ("port = 3000\nhealth.check = \"port\"", Strength::Port),
        // PORT may come from the secret.
        ("health.check = \"port\"", Strength::Port),
        ("health = { check = \"http\", path = \"/x\" }", Strength::Http),
    ] {
        assert_eq!(read(text).health.check, Some(check), "{text}");
    }
}

#[test]
fn values_of_check_and_host_are_checked() {
    for (text, expected) in [
        (
            "[health]\ncheck = \"tcp\"",
            "2:9: health.check is \"tcp\"; expected one of \"http\", \"port\", \"process\"",
        ),
        ("[health]\nhost = \"a\\r\\nX: y\"\npath = \"/x\"", "2:8: health.host is"),
        ("[health]\nhost = \"\"\npath = \"/x\"", "2:8: health.host is \"\"; expected a host name"),
        ("[health]\nhost = \"h\"", "2:8: health.host needs health.path"),
        ("[health]\nanswer = \"9s\"", "2:10: health.answer needs health.path"),
        ("[health]\npath = \"/x\"\nanswer = 0", "3:10: health.answer is 0"),
    ] {
        assert!(error(text).contains(expected), "{text}: {}", error(text));
    }
    for host in ["api.example.com", "api.example.com:8443", "[::1]:80"] {
        let text = format!("health = {{ path = \"/x\", host = \"{host}\" }}");
        assert_eq!(read(&text).health.host.as_deref(), Some(host));
    }
}

#[test]
fn limits_hold() {
    let path = |length: usize| format!("health = \"/{}\"", "x".repeat(length - 1));
    assert!(read(&path(1024)).health.path.is_some());
    assert!(error(&path(1025)).contains("has 1025 bytes"));
}
