//! Parsing of secrets: JSON and dotenv text, refused names, and errors that do not quote values.

use super::*;
use crate::error::Exit;

/// Names and values, as plain text.
fn read(text: &str) -> Vec<(String, String)> {
    let variables = parse("app", text, &[].into()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    variables.iter().map(|(name, value)| (name.to_owned(), value.expose().to_owned())).collect()
}

fn one(text: &str) -> String {
    let pairs = read(text);
    assert_eq!(pairs.len(), 1, "{text:?} gave {:?}", pairs.iter().map(|(name, _)| name).collect::<Vec<_>>());
    pairs[0].1.clone()
}

/// The message, which must not contain `hunter2`, the value in the text of each test.
fn error(text: &str) -> String {
    let error = parse("app", text, &[].into()).expect_err(&format!("{text:?} was read"));
    assert_eq!(error.code(), Code::SecretInvalid, "{error}");
    assert_eq!(error.exit(), Exit::Invalid);
    let message = error.to_string();
    assert!(message.starts_with("reading secret app: "), "{message}");
    assert!(!message.contains("hunter2") && !message.contains("unter"), "it leaks: {message}");
    message
}

#[test]
fn json_strings_are_taken_as_they_are() {
    assert_eq!(
        read(r#" { "B": "x y", "A": "", "C": "a\"b\\\n\té\ud83e\udd80" } "#),
        [("A", ""), ("B", "x y"), ("C", "a\"b\\\n\té🦀")].map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    assert_eq!(one("\u{feff}{\"A\":\"x\"}"), "x");
    assert!(read("{}").is_empty());
}

#[test]
fn json_numbers_and_booleans_keep_their_own_text() {
    for number in [
        "0",
        "-0",
        "1.0",
        "1.50",
        "1e5",
        "1E5",
        "1e+05",
        "12345678901234567890123",
        "0.10000000000000000000001",
        "-7",
    ] {
        assert_eq!(one(&format!("{{\"A\": {number} }}")), number);
    }
    assert_eq!(one(r#"{"A":true}"#), "true");
    assert_eq!(one(r#"{"A":false}"#), "false");
}

#[test]
fn nested_json_becomes_compact_and_is_otherwise_unchanged() {
    let nested = "{\"A\": {\n  \"z\": [ 1.0, 1e5, null, \"a  b\\\" : c\" ],\n  \"a\" : {} } }";
    assert_eq!(one(nested), r#"{"z":[1.0,1e5,null,"a  b\" : c"],"a":{}}"#);
    assert_eq!(one(r#"{"A": [ ]}"#), "[]");
}

#[test]
fn json_that_cannot_be_an_environment_is_refused_without_its_values() {
    assert!(error(r#"{"A":"hunter2","B":null}"#).contains("B is null"));
    assert!(error(r#"{"A":"hunter2","A":"hunter2"}"#).contains("A is there twice"));
    assert!(error(r#"{"A":"hunter2\u0000"}"#).contains("A contains a NUL"));
    assert!(error(r#"{"A":"hunter2\ud800"}"#).contains("A"));
    // Such keys are not quoted: they may be misplaced values.
    assert!(error(r#"{"A":"hunter2","unter-key":"x"}"#).contains("number 2"));
    assert!(error(r#"{"A":"hunter2","1unter":"x"}"#).contains("number 2"));
    assert!(error(r#"{"A":"hunter2","hunter2!":"x"}"#).contains("number 2"));
    assert!(error(r#"{"A":"hunter2","":"x"}"#).contains("number 2"));
}

#[test]
fn broken_json_is_refused_with_its_place_only() {
    for broken in [
        "{\"A\":\"hunter2\"",
        "{\"A\":hunter2}",
        "{\"A\":\"hunter2\",}",
        "{\"A\":\"hunter2\"} hunter2",
        "{hunter2:1}",
        "{'A':'hunter2'}",
        "{\"A\":\"hunter2\n\"}",
        "{\"A\" \"hunter2\"}",
        "{\"A\":01}",
        "{\"A\":\"\\hunter2\"}",
        "{\"A\":tru}",
    ] {
        let message = error(broken);
        assert!(message.contains("line 1") || message.contains("line 2"), "{broken:?}: {message}");
    }
}

#[test]
fn dotenv_text_is_read_as_dotenv_reads_it() {
    let text = "\u{feff}# a comment\r\n\r\nA=1\r\n  B = two words  # with a comment\nexport C='a#b'\n\
        export\tD=\"l1\\nl2\"\nE='p\nq'   # c\nF=\nG= # empty\nH=`it's \"x\"`\nI=a=b==\nJ=\\n\nK=\"it's\"\nL=a'b\"c";
    let want = [
        ("A", "1"),
        ("B", "two words"),
        ("C", "a#b"),
        ("D", "l1\nl2"),
        ("E", "p\nq"),
        ("F", ""),
        ("G", ""),
        ("H", "it's \"x\""),
        ("I", "a=b=="),
        ("J", "\\n"),
        ("K", "it's"),
        ("L", "a'b\"c"),
    ];
    assert_eq!(read(text), want.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn ambiguous_dotenv_text_is_refused_with_its_line() {
    assert!(error("A=1\nB=hun#ter2").contains("line 2: B has a # in its value"));
    assert!(error("A=#hunter2").contains("line 1: A has a #"));
    assert!(error("A=1\n\nB='hunter2\nC=3").contains("line 3: B has a quote that is never closed"));
    assert!(error("A='x' hunter2").contains("line 1: A has text after its closing quote"));
    assert!(error("A='it's hunter2'").contains("line 1: A has text after"));
    assert!(error("A=\"hunter2\\\"x\"").contains("line 1: A has a backslash before its closing quote"));
    assert!(error("A=\"hunter2\\\\n\"").contains("line 1: A has \\\\ in double quotes"));
    assert!(error("A='1\n2'\nhunter2").contains("line 3: there is no ="));
    assert!(error("A: hunter2").contains("line 1: there is no ="));
    assert!(error("A=1\nA=hunter2").contains("A is there twice"));
    assert!(error("A=hunter2\0").contains("A contains a NUL"));
    assert!(error("").contains("no variable"));
    assert!(error("# only\n\n").contains("no variable"));
}

#[test]
fn a_value_that_was_pasted_without_quotes_is_not_shown_as_a_key() {
    let message = error("KEY=-----BEGIN KEY-----\nhunter2+unter/==\n");
    assert!(message.contains("line 2: it is not KEY=value, but perhaps a bare token"), "{message}");
    assert!(error("=hunter2").contains("line 1"));
    assert!(error("A B=hunter2").contains("line 1"));
    assert!(error("A-B=hunter2").contains("line 1"));
}

/// Dry runs and `env check` print names, so a token must not be read as one.
#[test]
fn a_token_does_not_become_the_name_of_a_variable() {
    for token in ["aHVudGVyMg", "hunter2"] {
        for end in ["=", "==", "=\n", "==\n", "== # of the shop", "= # of the shop", "==\nA=b\n"] {
            let message = error(&format!("{token}{end}"));
            assert!(message.contains("perhaps a bare token") && !message.contains(token), "{message}");
        }
    }
    let hex = "d41d8cd98f00b204e9800998ecf8427e";
    for token in
        [hex, "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "c2VjcmV0LWNhbmFyeS05MxYzc5ZjMx", &"x".repeat(65)]
    {
        let swapped = format!(r#"{{"A":"hunter2","{token}":"TOKEN"}}"#);
        for (text, place) in [(swapped, "key number 2 "), (format!("A=b\n{token}=TOKEN"), "line 2: ")] {
            let message = error(&text);
            assert!(message.contains(place) && message.contains("looks like a value"), "{message}");
            assert!(!message.contains(token), "{message}");
        }
    }
}

#[test]
fn a_long_name_is_still_a_name() {
    for name in [
        "oauth2GoogleClientSecret",
        "s3UploadBucketAccessKeyId2",
        "applicationInsightsInstrumentationConnectionString",
        "SPRING_SECURITY_OAUTH2_CLIENT_REGISTRATION_MYPROVIDER_AUTHORIZATION_GRANT_TYPE",
        "ConnectionStrings__Db1__V2__R3",
    ] {
        assert_eq!(read(&format!("{name}=x"))[0].0, name);
        assert_eq!(read(&format!(r#"{{"{name}":""}}"#))[0].0, name);
    }
    assert_eq!(read("A=\nB=a==").len(), 2);
}

#[test]
fn refused_names_have_an_error_with_a_remedy_in_json_and_dotenv() {
    for text in [r#"{"LD_PRELOAD":"hunter2"}"#, "LD_PRELOAD=hunter2", "export PATH=hunter2"] {
        let error =
            parse("app", text, &["LD_PRELOAD".into(), "PATH".into()].into()).expect_err("it was read");
        assert_eq!(error.code(), Code::SecretKeyRefused, "{error}");
        assert!(
            !error.to_string().contains("hunter2") && !error.to_string().contains("env.allow"),
            "{error}"
        );
    }
    let text = r#"{"NODE_OPTIONS":"--require=hunter2"}"#;
    let error = parse("app", text, &[].into()).expect_err("it was read");
    assert_eq!(error.code(), Code::SecretKeyRefused);
    assert!(error.to_string().contains("env.allow") && !error.to_string().contains("hunter2"), "{error}");
    assert!(parse("app", text, &["NODE_OPTIONS".into()].into()).is_ok());
}

#[test]
fn sizes_are_bounded() {
    let body = MOST_BYTES - "A=\n".len();
    assert_eq!(one(&format!("A={}\n", "x".repeat(body))).len(), body);
    assert!(error(&format!("A={}\n", "x".repeat(body + 1))).contains("65537 bytes"));
    let keys = |n: usize| (0..n).map(|i| format!("K{i}=\n")).collect::<String>();
    assert_eq!(read(&keys(1000)).len(), 1000);
    assert!(error(&keys(1001)).contains("1001 keys"));
}

#[test]
fn a_binary_secret_must_be_utf_8() {
    assert_eq!(binary("app", "A=é".as_bytes()).unwrap(), "A=é");
    let error = binary("app", b"A=hunter2\xff").unwrap_err();
    assert_eq!(error.code(), Code::SecretInvalid);
    assert!(error.to_string().contains("at byte 9") && !error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn variables_show_names_only() {
    let variables = parse("app", "A=hunter2", &[].into()).unwrap();
    assert_eq!(format!("{variables:?}"), r#"Variables({"A": [secret]})"#);
    assert_eq!(variables.keys().collect::<Vec<_>>(), ["A"]);
    assert_eq!(variables.len(), 1);
    assert!(variables.get("B").is_none());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_json_string_is_read_unchanged(values in proptest::collection::btree_map("V_[A-Z0-9]{0,3}", "[^\0]*", 0..8)) {
        let text = serde_json::to_string(&values).unwrap();
        proptest::prop_assert_eq!(read(&text), values.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn no_text_panics_or_is_quoted(text in "[A-C= '\"`#\\\\\n{}:,\u{e9}]{0,40}") {
        // Not a valid name, because errors may show names.
        let canary = "hunt!er2";
        if let Err(error) = parse("app", &text.replace('\u{e9}', canary), &[].into()) {
            proptest::prop_assert!(!error.to_string().contains(canary), "{}", error);
        }
    }
}
