//! Sources of values in a manifest: which tables are accepted, and which are refused with their line.

use super::super::*;
use super::MOST_SOURCES;
use crate::facts::{ValuePlace, ValueSource};

fn parse(sources: &str) -> Result<Vec<ValueSource>> {
    Manifest::parse("bootagent.toml", &format!("env.from = [{sources}]\n"), None, &[])
        .map(|manifest| manifest.env.from)
}

fn refused(sources: &str) -> String {
    let error = parse(sources).unwrap_err().to_string();
    assert!(error.contains("[E-MANIFEST-INVALID]") && error.contains("bootagent.toml:1:"), "{error}");
    error
}

#[test]
fn sources_are_read_in_their_order() {
    let read = parse(
        "{ parameters = \"/shared/{environment}/\" }, { secret = \"shared/db\", keys = [\"A\"], rename = { B = \"C\" } }, \
         { parameter = \"/auth/API_KEY\", optional = true }, { secret = \"tls\", as = \"TLS_KEY\" }",
    )
    .unwrap();
    let places: Vec<String> = read.iter().map(|source| source.place.to_string()).collect();
    let expected = [
        "parameters below /shared/{environment}",
        "secret shared/db",
        "parameter /auth/API_KEY",
        "secret tls",
    ];
    assert_eq!(places, expected);
    assert_eq!(read[1].keys, Some(["A".to_owned()].into()));
    assert_eq!(read[1].rename, [("B".to_owned(), "C".to_owned())].into());
    assert_eq!((read[2].whole.as_deref(), read[2].optional), (Some("API_KEY"), true));
    assert_eq!((read[3].whole.as_deref(), read[3].optional), (Some("TLS_KEY"), false));
}

#[test]
fn an_array_of_tables_is_the_same() {
    let text = "[[env.from]]\nsecret = \"a\"\nprefix = \"DB_\"\n[[env.from]]\nsecret = \"b\"\n";
    let read = Manifest::parse("bootagent.toml", text, None, &[]).unwrap().env.from;
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].prefix, "DB_");
    assert_eq!(read[1], ValueSource::whole(ValuePlace::Secret("b".to_owned())));
}

#[test]
fn an_overlay_replaces_the_list() {
    let text = "env.from = [{ secret = \"a\" }]\n[environments.prod.env]\nfrom = []\n";
    let prod = Environment::try_from("prod").unwrap();
    assert!(Manifest::parse("bootagent.toml", text, Some(&prod), &[]).unwrap().env.from.is_empty());
}

#[test]
fn an_arn_may_name_another_region_and_account() {
    let arn = "arn:aws:secretsmanager:eu-central-1:210987654321:secret:shared/db-AbCdEf";
    assert_eq!(parse(&format!("{{ secret = \"{arn}\" }}")).unwrap()[0].place.name(), arn);
    let arn = "arn:aws:ssm:eu-central-1:210987654321:parameter/shared/KEY";
    assert_eq!(parse(&format!("{{ parameter = \"{arn}\" }}")).unwrap()[0].whole.as_deref(), Some("KEY"));
}

#[test]
fn other_values_are_refused() {
    for (source, says) in [
        ("\"shared/db\"", "expected a table such as"),
        ("{}", "without secret, parameter or parameters"),
        ("{ keys = [\"A\"] }", "without secret, parameter or parameters"),
        ("{ secret = \"a\", parameter = \"/b\" }", "one table for each source"),
        ("{ secret = \"a\", key = \"A\" }", "unknown key \"key\" in env.from; did you mean \"keys\"?"),
        ("{ secret = \"a*\" }", "expected the name or ARN of a secret"),
        ("{ secret = \"\" }", "expected the name or ARN of a secret"),
        ("{ secret = \"--env-file x\" }", "expected the name or ARN of a secret"),
        ("{ secret = \"a\\nb\" }", "expected the name or ARN of a secret"),
        ("{ secret = \"a/{region}\" }", "only {service} and {environment} are placeholders"),
        ("{ secret = \"arn:aws:secretsmanager:x\" }", "not a complete ARN"),
        ("{ parameter = \"KEY\" }", "expected the name of a parameter"),
        ("{ parameter = \"/a/api-key\" }", "as = \"NAME\" must name its variable"),
        ("{ parameter = \"/a/KEY\", keys = [\"KEY\"] }", "for a single value"),
        ("{ secret = \"a\", as = \"A\", prefix = \"B_\" }", "for a single value"),
        ("{ parameters = \"/\" }", "expected a path of parameters"),
        ("{ parameters = \"a/b\" }", "expected a path of parameters"),
        ("{ parameters = \"/a//b\" }", "expected a path of parameters"),
        ("{ parameters = \"/a\", as = \"A\" }", "which are several values"),
        (
            "{ parameters = \"arn:aws:ssm:eu-west-1:210987654321:parameter/a\" }",
            "expected a path of parameters",
        ),
        ("{ secret = \"a\", rename = { A = \"b c\" } }", "expected a variable name"),
        ("{ secret = \"a\", rename = { A = \"X\", B = \"X\" } }", "another one's new name"),
        ("{ secret = \"a\", rename = { \"a b\" = \"X\" } }", "not a key that a source can have"),
        ("{ secret = \"a\", optional = 1 }", "expected true or false"),
    ] {
        let error = refused(source);
        assert!(error.contains(says), "{source}: {error}");
    }
}

#[test]
fn a_new_name_that_changes_how_programs_are_loaded_is_refused() {
    for source in [
        "{ secret = \"a\", rename = { A = \"LD_PRELOAD\" } }",
        "{ secret = \"a\", as = \"NODE_OPTIONS\" }",
        "{ parameter = \"/a/LD_PRELOAD\" }",
    ] {
        assert!(refused(source).contains("is refused"), "{source}");
    }
    let text = "env.from = [{ secret = \"a\", as = \"NODE_OPTIONS\" }]\nenv.allow = [\"NODE_OPTIONS\"]\n";
    assert!(Manifest::parse("bootagent.toml", text, None, &[]).is_ok());
}

#[test]
fn the_number_of_sources_is_bounded() {
    let many = |count: usize| "{ secret = \"a\" },".repeat(count);
    assert_eq!(parse(&many(MOST_SOURCES)).unwrap().len(), MOST_SOURCES);
    assert!(refused(&many(MOST_SOURCES + 1)).contains("env.from has 21 entries; the limit is 20"));
}
