//! Values that have broken environment files, and a generator of more.

use proptest::prelude::*;

/// The fixed corpus, each with whether node's `.env` can carry it; systemd carries them all.
pub fn corpus() -> Vec<(&'static str, String, bool)> {
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}\nab+/==\n-----END PRIVATE KEY-----\n", "Mi/+".repeat(16));
    let json = r#"{"a": "b c", "d": [1, "\"x\""], "e": "f#g"}"#;
    let plain = |name, value: &str| (name, value.to_owned(), true);
    let uncarried = |name, value: &str| (name, value.to_owned(), false);
    vec![
        plain("EMPTY", ""),
        plain("WORD", "hunter2"),
        plain("URL", "postgres://u:p%40ss@db.example:5432/app?sslmode=require&x=1"),
        plain("BLANK", " "),
        plain("LEADING_BLANK", "  x"),
        plain("TRAILING_BLANK", "x  "),
        plain("TAB_EDGES", "\tx\t"),
        plain("INNER_BLANKS", "a  b\tc"),
        plain("HASH", "a#b"),
        plain("BLANK_HASH", "a #b"),
        plain("HASH_FIRST", "#a"),
        plain("SINGLE", "it's"),
        plain("SINGLE_FIRST", "'a"),
        plain("SINGLE_BOTH", "'a'"),
        plain("SINGLE_HASH", "it's #1"),
        plain("DOUBLE", "say \"hi\""),
        plain("DOUBLE_FIRST", "\"a"),
        plain("DOUBLE_BOTH", "\"a\""),
        plain("TICK", "a`b"),
        plain("TICK_BOTH", "`id`"),
        plain("SINGLE_DOUBLE", "'\""),
        plain("SINGLE_TICK", "'`"),
        plain("DOUBLE_TICK", "\"`"),
        uncarried("ALL_QUOTES_FIRST", "'\"`"),
        plain("ALL_QUOTES_INSIDE", "a'\"`b"),
        uncarried("ALL_QUOTES_HASH", "a'\"`#b"),
        uncarried("ALL_QUOTES_LINES", "a'\n\"`b"),
        plain("BACKSLASH", "a\\b"),
        plain("BACKSLASHES", "\\\\server\\share"),
        plain("BACKSLASH_N", "a\\nb"),
        plain("BACKSLASH_LAST", "a\\"),
        plain("BACKSLASH_QUOTE", "a\\'b"),
        plain("BACKSLASH_DOUBLE", "a\\\"b"),
        uncarried("HASH_BACKSLASH_LAST", "#a\\"),
        uncarried("DOLLAR", "pa$$word"),
        uncarried("DOLLAR_NAME", "$HOME"),
        uncarried("DOLLAR_BRACES", "${HOME}"),
        uncarried("COMMAND", "$(id)"),
        uncarried("DOLLAR_LAST", "a$"),
        uncarried("DOLLAR_ESCAPED", "a\\$b"),
        plain("SEMICOLON", "a; rm -rf /"),
        plain("EQUALS", "a=b==c"),
        plain("EXPORT", "export A=b"),
        plain("COLON", "a: b"),
        plain("LINES", "a\nb"),
        plain("INJECTION", "x\nINJECTED=1"),
        plain("INJECTION_QUOTED", "x'\nINJECTED='1"),
        plain("INJECTION_DOUBLE", "x\"\nINJECTED=\"1"),
        plain("LAST_LINE", "a\n"),
        plain("FIRST_LINE", "\na"),
        uncarried("CR", "a\rb"),
        uncarried("CRLF", "a\r\nb"),
        uncarried("INJECTION_CR", "x\rINJECTED=1"),
        plain("PEM", &pem),
        plain("JSON", json),
        plain("JSON_LINES", "{\n  \"a\": 1\n}"),
        plain("UNICODE", "grüße, 世界 🦀"),
        plain("NO_BREAK_EDGE", "\u{a0}x\u{a0}"),
        plain("BOM_FIRST", "\u{feff}x"),
        plain("LINE_SEPARATOR", "a\u{2028}INJECTED=1"),
        plain("LINE_SEPARATOR_QUOTE", "a\u{2028}'b'"),
        plain("NEXT_LINE", "\u{85}x"),
        plain("ESCAPE", "\u{1b}[31m\u{7f}\u{1}"),
        plain("FORM_FEED", "\u{b}x\u{c}"),
        plain("LONG", &"x#'".repeat(21_845)),
        plain("LONG_LINES", &"0123456789abcde\n".repeat(4096)),
    ]
}

/// One value, out of the pieces that readers stumble over.
pub fn value() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        8 => prop::sample::select(vec![
            "'", "\"", "`", "\\", "#", " #", "$", "${A}", "=", ";", ":", " ", "\t", "\n", "\\n", "\\r", "\\'", "\\\"",
            "\\\\", "\\\n", "\nB=", "export ", "\u{2028}", "\u{2029}", "\u{85}", "\u{a0}", "\u{feff}", "\u{b}", "\u{1b}", "{",
        ]).prop_map(str::to_owned),
        1 => Just("\r".to_owned()),
        4 => "[a-zA-Z0-9+/]{1,6}",
        1 => any::<char>().prop_filter("systemd carries it", |c| carried(*c)).prop_map(String::from),
    ];
    prop::collection::vec(pieces, 0..10).prop_map(|pieces| pieces.concat())
}

/// A small set of variables.
pub fn variables() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop::sample::select(vec!["A", "B", "export", "_x9", "__proto__", "constructor", "LONG_NAME"]);
    prop::collection::btree_map(name.prop_map(str::to_owned), value(), 1..6)
        .prop_map(|map| map.into_iter().collect())
}

/// Text that looks like a file of variables and mostly is none.
pub fn garbage() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        4 => prop::sample::select(vec!["A=", "BC=", "D = ", "export E=", "# c", ";", "\n", "\n", "\n\n", "F"])
            .prop_map(str::to_owned),
        3 => value(),
        1 => value().prop_map(|value| format!("'{value}'\n")),
        1 => value().prop_map(|value| format!("\"{value}\"\n")),
    ];
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

pub fn carried(c: char) -> bool {
    let code = u32::from(c);
    code != 0 && !(0xfdd0..=0xfdef).contains(&code) && code & 0xfffe != 0xfffe
}
