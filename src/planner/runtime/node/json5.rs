//! JSON5 as JSON: comments and trailing commas left out, names and texts in double quotes, numbers as JSON has them. What is
//! not JSON5 stays as it is, for the reader of JSON to refuse in the same line. No recursion, so no depth harms. Pure.

use std::iter::Peekable;
use std::str::Chars;

type Rest<'a> = Peekable<Chars<'a>>;

pub fn as_json(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    // Where the last comma is, if nothing is behind it yet.
    let mut comma = None;
    while let Some(c) = rest.next() {
        match c {
            '\n' => json.push('\n'),
            c if c.is_whitespace() || c == '\u{feff}' => json.push(' '),
            '/' if matches!(rest.peek(), Some('/' | '*')) => comment(&mut rest, &mut json),
            c => {
                if let Some(at) = comma.take().filter(|_| matches!(c, '}' | ']')) {
                    json.replace_range(at..=at, " ");
                }
                match c {
                    '"' | '\'' => quoted(c, &mut rest, &mut json),
                    c if is_of_name(c) && !c.is_ascii_digit() => word(c, &mut rest, &mut json),
                    '0'..='9' | '+' | '-' | '.' => json += &number(c, &mut rest),
                    c => {
                        comma = (c == ',').then_some(json.len());
                        json.push(c);
                    }
                }
            }
        }
    }
    json
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '$' | '_')
}

/// Its lines stay, so that errors name the right ones.
fn comment(rest: &mut Rest, json: &mut String) {
    let is_block = rest.next() == Some('*');
    while let Some(c) = if is_block { rest.next() } else { rest.next_if(|c| *c != '\n') } {
        match c {
            '\n' => json.push('\n'),
            '*' if is_block && rest.next_if_eq(&'/').is_some() => return,
            _ => {}
        }
    }
    if is_block {
        *json += "/* without an end";
    }
}

fn quoted(quote: char, rest: &mut Rest, json: &mut String) {
    json.push('"');
    while let Some(c) = rest.next() {
        match c {
            c if c == quote => {
                json.push('"');
                return;
            }
            '"' => *json += "\\\"",
            '\t' => *json += "\\t",
            '\\' => escape(rest, json),
            c => json.push(c),
        }
    }
}

fn escape(rest: &mut Rest, json: &mut String) {
    match rest.next() {
        // The text goes on in the next line.
        Some('\r') => {
            rest.next_if_eq(&'\n');
        }
        Some('\n') | None => {}
        Some('v') => *json += "\\u000b",
        Some('0') => *json += "\\u0000",
        Some('x') => *json += "\\u00",
        Some(c @ ('"' | '\\' | 'b' | 'f' | 'n' | 'r' | 't' | 'u')) => json.extend(['\\', c]),
        Some(c) => json.push(c),
    }
}

/// A name before `:` gets quotes; elsewhere only JSON's words are values.
fn word(first: char, rest: &mut Rest, json: &mut String) {
    let mut word = String::from(first);
    while let Some(c) = rest.next_if(|c| is_of_name(*c)) {
        word.push(c);
    }
    let mut spaces = String::new();
    while let Some(c) = rest.next_if(|c| c.is_whitespace()) {
        spaces.push(if c == '\n' { c } else { ' ' });
    }
    match (rest.peek(), word.as_str()) {
        (Some(':'), name) => *json += &format!("\"{name}\""),
        (_, "Infinity" | "NaN") => *json += "null",
        (_, word) => *json += word,
    }
    *json += &spaces;
}

fn number(first: char, rest: &mut Rest) -> String {
    let mut text = String::from(first);
    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')) {
        text.push(c);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(&text)),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    match (hex.and_then(|hex| u64::from_str_radix(hex, 16).ok()), digits) {
        (Some(number), _) => format!("{sign}{number}"),
        (None, "Infinity" | "NaN") => "null".to_owned(),
        (None, digits) if digits.starts_with('.') => format!("{sign}0{digits}"),
        (None, digits) => format!("{sign}{}", digits.strip_suffix('.').unwrap_or(digits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> serde_json::Result<Value> {
        serde_json::from_str(&as_json(text))
    }

    #[test]
    fn what_json5_adds_to_json_is_read() {
        for (text, value) in [
            ("{\"a\": [1, -2.5, true, null, \"x\\n\\\"\"]}", json!({"a": [1, -2.5, true, null, "x\n\""]})),
            (
                "\u{feff}// x\n{ /* y\n */ a: 'it\\'s \"1\"', $b_1: 2, }",
                json!({"a": "it's \"1\"", "$b_1": 2}),
            ),
            ("[+1, .5, 5., 0xFF, -0x1,]", json!([1, 0.5, 5, 255, -1])),
            ("{null: Infinity, 'b' : -Infinity, c\n: NaN}", json!({"null": null, "b": null, "c": null})),
            (
                "['a\\\nb', '\\x41\\v\\0\\q', 'a\tb', 'http://x/*y*/']",
                json!(["ab", "A\u{b}\0q", "a\tb", "http://x/*y*/"]),
            ),
            ("{é: 1, a: [{b: 2,}, ] // z\n}", json!({"é": 1, "a": [{"b": 2}]})),
        ] {
            assert_eq!(read(text).unwrap(), value, "{text}: {}", as_json(text));
        }
    }

    #[test]
    fn what_is_not_json5_is_refused_in_its_line() {
        for text in ["{\n a: b}", "\n[1,,2]", "{a: 1 /*\n}", "{\na: 0x}", "{\na 1}", "\n'x", ""] {
            let error = read(text).unwrap_err();
            assert!(text.is_empty() || error.line() == 2, "{text}: {error}");
        }
        assert!(read(&"[".repeat(250_000)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a0x'\"/*\\\\{}\\[\\],:.+\\-\u{e9} \n\r]{0,60}") {
            let _ = read(&text);
        }

        #[test]
        fn json_stays_the_same(texts in proptest::collection::vec(".{0,12}", 0..5)) {
            let value = json!({"a": texts, "b": [1, null]});
            proptest::prop_assert_eq!(read(&value.to_string()).unwrap(), value);
        }
    }
}
