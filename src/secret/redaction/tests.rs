//! Which text is hidden, which is not, and that a cut never leaves a readable part of a value.

use super::super::{ForeignText, SHOWN};
use super::*;
use data_encoding::BASE64;
use forms::url;
use proptest::prelude::*;

fn of(values: &[(&str, &str)]) -> Redaction {
    let secrets: Vec<(&str, Secret)> =
        values.iter().map(|(name, value)| (*name, Secret::new(*value))).collect();
    Redaction::new(secrets.iter().map(|(name, value)| (*name, value)))
}

#[test]
fn values_are_replaced_by_their_names() {
    let hidden = of(&[("TOKEN", "hunter2!"), ("URL", "https://u:hunter2!@db/x"), ("EMPTY", "")]);
    for (text, shown) in [
        ("token is hunter2!", "token is [TOKEN]"),
        ("hunter2!hunter2!", "[TOKEN][TOKEN]"),
        ("connect to https://u:hunter2!@db/x failed", "connect to [URL] failed"),
        ("nothing here", "nothing here"),
        ("", ""),
    ] {
        assert_eq!(hidden.hide(text), shown);
    }
}

#[test]
fn short_values_are_hidden_only_beside_their_name() {
    let hidden = of(&[("PIN", "1234"), ("DEBUG", "true")]);
    assert_eq!(hidden.hide("PIN=1234 of 12345"), "PIN=[PIN] of 12345");
    assert_eq!(hidden.hide(r#"{"PIN":"1234"}"#), r#"{"PIN":"[PIN]"}"#);
    assert_eq!(hidden.hide("port 1234 is true"), "port 1234 is true");
}

#[test]
fn a_key_of_many_lines_is_found_in_each() {
    let pem = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n";
    let hidden = of(&[("KEY", pem)]);
    for line in pem.lines() {
        assert_eq!(hidden.hide(&format!("  {line}")), "  [KEY]");
    }
    assert_eq!(hidden.hide(&serde_json::to_string(pem).unwrap()), "\"[KEY]\"");
}

/// A cause quotes a line without the blanks around it, but lines of a value may be indented.
#[test]
fn an_indented_line_of_a_value_is_found_without_its_blanks() {
    let hidden = of(&[("CONFIG", "db:\n    password: hunter2-hunter2\n\tuser: c4n4ry-c4n4ry  \n")]);
    for line in ["    password: hunter2-hunter2", "\tuser: c4n4ry-c4n4ry  "] {
        assert_eq!(ForeignText::line(line).trimmed().shown(&hidden), "[CONFIG]");
        assert!(!hidden.hide(line).contains("2-hunter2") && !hidden.hide(line).contains("c4n4ry"), "{line}");
    }
}

/// `clean` removes characters from foreign text before redaction looks for values in it.
#[test]
fn values_with_characters_that_cleaning_removes_are_found() {
    for value in [
        "redis://:p@ss/word-hunter2@db.example",
        "hunter2\u{200e}hunter2",
        "\u{202e}hunter2\u{61c}hunter2",
        "hunter2\u{1b}[31mhunter2",
    ] {
        let line = ForeignText::line(&format!("Invalid URL: '{value}'"));
        assert_eq!(line.shown(&of(&[("V", value)])), "Invalid URL: '[V]'");
    }
    let address = of(&[("V", "https://u:hunter2@db.example")]);
    assert_eq!(address.hide("no route to https://db.example"), "no route to https://db.example");
}

#[test]
fn the_beginning_of_a_value_is_hidden_before_a_cut() {
    let hidden = of(&[("TOKEN", "abcdefghijkl")]);
    assert_eq!(hidden.hide("the token is abcdefg…"), "the token is [TOKEN]…");
    assert_eq!(hidden.hide("the token is abcdefg"), "the token is abcdefg", "it was not cut");
}

/// The reader of a program's output keeps only a bounded part of a long line.
#[test]
fn parts_of_a_value_are_hidden_at_both_ends_of_a_cut_text() {
    let hidden = of(&[("TOKEN", "abcdefghijkl"), ("PASSWORD", "production")]);
    for (text, shown) in [
        ("…defghijkl is wrong", "…[TOKEN] is wrong"),
        ("…jkl", "…[TOKEN]"),
        ("…abcdefghijkl!", "…[TOKEN]!"),
        ("…cdefghij…", "…[TOKEN]…"),
        ("…ghijkl and abcde…", "…[TOKEN] and [TOKEN]…"),
        ("…ghijklabcdefghijklabcd…", "…[TOKEN][TOKEN][TOKEN]…"),
        ("…uction, not produc…", "…[PASSWORD], not [PASSWORD]…"),
        ("…uctions, not reproduc…", "…uctions, not reproduc…"),
        ("ghijkl and abcde", "ghijkl and abcde"),
        ("…", "…"),
        ("……", "……"),
    ] {
        assert_eq!(hidden.hide(text), shown);
    }
}

#[test]
fn the_strings_of_a_json_value_are_hidden_one_by_one() {
    let json = r#"{"user":"x","engine":"postgres","password":"hunter2-hunter2","more":{"list":["abcdefg-1","hijklmn-2"],"pin":98765432109876},
        "key":"-----BEGIN KEY-----\nMIIEvQIBADANBg\n","again":"{\"token\":\"opqrstu-3\"}"}"#;
    for leaf in ["hunter2-hunter2", "abcdefg-1", "hijklmn-2", "98765432109876", "MIIEvQIBADANBg", "opqrstu-3"]
    {
        assert_eq!(of(&[("DB", json)]).hide(&format!("no access with {leaf}")), "no access with [DB]");
    }
    let list = of(&[("TOKENS", r#"["dragons","abcdefg-1"]"#)]);
    assert_eq!(list.hide("dragons/abcdefg-1"), "[TOKENS]/[TOKENS]");
    assert_eq!(of(&[("DB", json)]).hide("FATAL: postgres is down, x"), "FATAL: postgres is down, x");
}

#[test]
fn a_password_in_an_address_is_hidden_encoded_and_decoded() {
    for (address, printed) in [
        ("postgres://app:p%40ss-w%2Frd@db/x", "p%40ss-w%2Frd"),
        ("postgres://app:p%40ss-w%2Frd@db/x", "p@ss-w/rd"),
        ("redis://:p@ss/word-hunter2@db.example", "p@ss/word-hunter2"),
        ("mongodb+srv://app:hunter2-x@a,b/?w=1", "hunter2-x"),
        ("https://ghp_0123456789abcdef@github.com/a", "ghp_0123456789abcdef"),
        ("https://x.example/hook?token=abc123def456&v=1", "abc123def456"),
        ("Server=db;User=app;Password='hunter2 x'", "hunter2"),
        ("jdbc:x://db?user=a&password=h%75nter2", "hunter2"),
        ("postgres://app:dragons@db/x", "dragons"),
    ] {
        let hidden = of(&[("URL", address)]);
        assert_eq!(hidden.hide(&format!("auth failed ({printed})")), "auth failed ([URL])", "{address}");
    }
    let hidden = of(&[("URL", "postgres://app:postgres@localhost/app")]);
    assert_eq!(hidden.hide("no postgres, no app"), "no [URL], no app", "a word that is a password, too");
    assert_eq!(hidden.hide("the password of app"), "the password of app");
}

/// If they were hidden everywhere, an error like the first one below would not show the missing module.
#[test]
fn ordinary_values_do_not_hide_what_is_wrong() {
    let hidden = of(&[
        ("KIND", "module"),
        ("ROLE", "server"),
        ("NODE_ENV", "production"),
        ("AREA", "billing"),
        ("AWS_REGION", "us-east-1"),
        ("LIMIT", "10000000"),
    ]);
    for text in [
        "Cannot find module './server/x.js'",
        "Cannot find module './billing/x.js' in /opt/auth-billing/billing.js",
        "config/production.json: 10000000 bytes in us-east-1",
    ] {
        assert_eq!(hidden.hide(text), text);
    }
    assert_eq!(hidden.hide("NODE_ENV=production, not a server"), "NODE_ENV=[NODE_ENV], not a server");
    assert_eq!(hidden.hide("no user \"billing\"."), "no user \"[AREA]\".");
    assert_eq!(hidden.hide("no user billing."), "no user [AREA].");
}

#[test]
fn an_ordinary_word_that_is_a_password_is_hidden_as_a_word() {
    let hidden = of(&[("DB_PASSWORD", "production"), ("API_KEY", "us-east-1"), ("ADMIN_TOKEN", "dragons")]);
    for (text, shown) in [
        ("password is production", "password is [DB_PASSWORD]"),
        ("./config/production.js", "./config/[DB_PASSWORD].js"),
        ("DB_PASSWORD=production", "DB_PASSWORD=[DB_PASSWORD]"),
        ("productions in us-east-12", "productions in us-east-12"),
        ("key us-east-1!", "key [API_KEY]!"),
        ("xdragonsx", "x[ADMIN_TOKEN]x"),
        ("Basic cHJvZHVjdGlvbg==", "Basic [DB_PASSWORD]=="),
    ] {
        assert_eq!(hidden.hide(text), shown);
    }
}

#[test]
fn secrets_of_the_largest_size_are_redacted() {
    let value: String = (0..65_536 / 8).map(|n| format!("{n:07x} ")).collect();
    let json = format!("[{}]", (0..1_000).map(|n| format!("\"tok-{n:05}\"")).collect::<Vec<_>>().join(","));
    let hidden = of(&[("A", &value), ("B", &json), ("C", &"x://u:p@".repeat(8_000))]);
    assert_eq!(hidden.hide(&format!("…{}…", &value[1..60_000])), "…[A]…");
    assert_eq!(hidden.hide("tok-00999x"), "[B]x");
}

#[test]
fn overlapping_values_are_hidden_as_one() {
    let hidden = of(&[("KEY_A", "abcabc-1-abc"), ("KEY_B", "1-abcdefgh")]);
    assert_eq!(hidden.hide("abcabc-1-abcdefgh, abcabc-1-abcabc-1-abc."), "[KEY_A], [KEY_A].");
}

#[test]
fn a_name_that_replaces_a_value_is_not_searched_for_values() {
    let hidden = of(&[("A", "SECRET_B"), ("SECRET_B", "aaaaaaaa")]);
    assert_eq!(hidden.hide("aaaaaaaa SECRET_B"), "[SECRET_B] [A]");
}

#[test]
fn debug_shows_no_value() {
    assert_eq!(format!("{:?}", of(&[("PIN", "1234")])), "Redaction of 1 forms");
}

/// One of eight ways in which programs print a value.
fn printed(value: &str, way: usize, around: &str) -> String {
    match way {
        0 => format!("{around}{value}{around}"),
        1 => serde_json::json!({ "a": format!("{around}{value}") }).to_string(),
        2 => BASE64.encode(format!("{around}{value}{around}").as_bytes()),
        3 => BASE64.encode(value.as_bytes()).replace('+', "-").replace('/', "_"),
        4 => url(value, true),
        5 => url(value, false),
        6 => value.bytes().map(|byte| format!("{byte:02x}")).collect(),
        _ => format!("'{}'", value.replace('\'', "'\\''")),
    }
}

proptest! {
    #[test]
    fn no_way_of_printing_shows_a_value(
        value in "[a-zA-Z0-9+/=%&<>\"' \\\\${}äö-]{12,60}", way in 0usize..8, around in "[a-z:]{0,4}",
    ) {
        let shown = of(&[("V", &value)]).hide(&printed(&value, way, &around));
        prop_assert!(shown.contains("[V]"), "{shown}");
        prop_assert!(!shown.contains(&value));
    }

    #[test]
    fn no_cut_shows_a_part_of_a_value(
        value in "[a-z0-9A-Z/+]{3}[0-9][A-Z][a-z0-9A-Z/+]{20,40}", from in 0usize..60, to in 0usize..60, around in "[:. ]{0,20}",
    ) {
        let line = format!("{around}{value}{around}");
        let (from, to) = (from.min(line.len()), line.len() - to.min(line.len()));
        prop_assume!(from < to);
        let mark = |is_cut: bool| if is_cut { "…" } else { "" };
        let text = format!("{}{}{}", mark(from > 0), &line[from..to], mark(to < line.len()));
        let shown = of(&[("V", &value)]).hide(&text);
        for part in value.as_bytes().windows(SHORTEST_CUT) {
            let part = std::str::from_utf8(part).unwrap();
            prop_assert!(!shown.contains(part), "{part} in {shown}");
        }
    }

    /// The cut to `SHOWN` characters follows redaction.
    #[test]
    fn no_length_of_a_line_shows_a_value(before in 0usize..SHOWN + 40, value in "[a-z0-9A-Z:@/%]{3}[0-9][A-Z]{30}") {
        let line = ForeignText::line(&format!("{}{value}", "-".repeat(before)));
        let shown = line.shown(&of(&[("V", &value)]));
        prop_assert!(!shown.contains(&value[4..10]), "{shown}");
    }

    #[test]
    fn a_password_of_an_address_is_never_shown(password in "[a-z0-9A-Z!*@/%:+&=]{2}[0-9][A-Z]{4}[a-z0-9!*@/:+&=]{1,20}") {
        let address = format!("postgres://app:{}@db.example/x", url(&password, true));
        let hidden = of(&[("URL", &address)]);
        for printed in [password.clone(), url(&password, true), url(&password, false), BASE64.encode(format!("app:{password}").as_bytes())] {
            let shown = hidden.hide(&format!("failed: {printed}"));
            prop_assert!(!shown.contains(&password) && shown.contains("[URL]"), "{shown}");
        }
    }

    #[test]
    fn other_text_stays(text in "[A-Z ]{0,80}") {
        prop_assert_eq!(of(&[("V", "abcdef123456")]).hide(&text), text);
    }
}
