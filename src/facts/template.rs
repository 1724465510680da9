//! Texts with the names of variables in braces: `postgres://{DB_USER:url}@{DB_HOST}/app`. Plain data; `planner/compose.rs`
//! fills the values in.

use std::collections::BTreeSet;

/// A parsed text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Name { name: String, form: Form },
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Unchanged,
    /// Percent-encoded: all bytes but letters, digits and `-._~`.
    Url,
}

const BRACES: &str = "write {{ and }} for braces";

impl Template {
    /// `is_name` tells which names a variable may have.
    pub fn parse(text: &str, is_name: impl Fn(&str) -> bool) -> Result<Template, String> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("{{").or(rest.strip_prefix("}}")) {
                plain.push_str(&rest[..1]);
                rest = after;
                continue;
            }
            let Some((inside, after)) = rest.strip_prefix('{').and_then(|inside| inside.split_once('}'))
            else {
                return Err(format!("has a brace without its counterpart; {BRACES}"));
            };
            let (name, form) = match inside.split_once(':') {
                None => (inside, Form::Unchanged),
                Some((name, "url")) => (name, Form::Url),
                Some(_) => return Err("has a form other than :url after a name".to_owned()),
            };
            if !is_name(name) {
                return Err(format!("has something in braces that is not a variable name; {BRACES}"));
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Name { name: name.to_owned(), form });
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template { parts })
    }

    /// The names in braces.
    pub fn names(&self) -> BTreeSet<&str> {
        let names = self.parts.iter().filter_map(|part| match part {
            Part::Name { name, .. } => Some(name.as_str()),
            Part::Text(_) => None,
        });
        names.collect()
    }
}

impl Form {
    pub fn write(self, value: &str, to: &mut String) {
        match self {
            Form::Unchanged => to.push_str(value),
            Form::Url => value.bytes().for_each(|byte| escape(byte, to)),
        }
    }
}

/// The unreserved characters of RFC 3986 stay; everything else is escaped, so that a value is safe in every part of a URL.
fn escape(byte: u8, to: &mut String) {
    use std::fmt::Write;
    match byte {
        b'-' | b'.' | b'_' | b'~' => to.push(char::from(byte)),
        byte if byte.is_ascii_alphanumeric() => to.push(char::from(byte)),
        // Writing to a String cannot fail.
        byte => drop(write!(to, "%{byte:02X}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_name(name: &str) -> bool {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    fn parse(text: &str) -> Result<Template, String> {
        Template::parse(text, is_name)
    }

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    fn named(name: &str, form: Form) -> Part {
        Part::Name { name: name.to_owned(), form }
    }

    #[test]
    fn names_forms_and_literal_braces_are_read() {
        let parts = |of: &str| parse(of).unwrap().parts;
        assert_eq!(parts(""), []);
        assert_eq!(parts("a"), [text("a")]);
        assert_eq!(parts("{{}} {{A}}"), [text("{} {A}")]);
        assert_eq!(
            parts("x://{A:url}:{B}@{{"),
            [text("x://"), named("A", Form::Url), text(":"), named("B", Form::Unchanged), text("@{")]
        );
        assert_eq!(parts("{A}{B}"), [named("A", Form::Unchanged), named("B", Form::Unchanged)]);
        assert_eq!(parse("{B}{A}{B:url}").unwrap().names(), ["A", "B"].into());
    }

    #[test]
    fn a_single_brace_an_unknown_form_or_no_name_is_an_error() {
        for (bad, says) in [
            ("{A", "counterpart"),
            ("A}", "counterpart"),
            ("{", "counterpart"),
            ("{A:hex}", ":url"),
            ("{A:}", ":url"),
            ("{}", "not a variable name"),
            ("{a b}", "not a variable name"),
            ("{{{A}}", "counterpart"),
            ("{ A }", "not a variable name"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    fn encoded(value: &str) -> String {
        let mut text = String::new();
        Form::Url.write(value, &mut text);
        text
    }

    #[test]
    fn hard_characters_are_percent_encoded() {
        assert_eq!(encoded("a@b/c%d\n:+ ü"), "a%40b%2Fc%25d%0A%3A%2B%20%C3%BC");
        assert_eq!(encoded("AZaz09-._~"), "AZaz09-._~");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_percent_encoded_is_decoded_to_the_same_value(value in any::<String>()) {
            let text = encoded(&value);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{}", text);
            let mut bytes = Vec::new();
            let mut rest = text.as_bytes();
            while let [first, after @ ..] = rest {
                rest = after;
                match (first, after) {
                    (b'%', [high, low, after @ ..]) => {
                        let digits = [*high, *low];
                        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                        rest = after;
                    }
                    (byte, _) => bytes.push(*byte),
                }
            }
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), value);
        }

        #[test]
        fn every_text_is_a_literal_with_its_braces_doubled(value in any::<String>()) {
            let literal = value.replace('{', "{{").replace('}', "}}");
            let parts = parse(&literal).unwrap().parts;
            prop_assert_eq!(parts, if value.is_empty() { vec![] } else { vec![text(&value)] });
        }

        #[test]
        fn no_text_stops_the_parser(value in "[{}:A-Za-z ]{0,40}") {
            let _ = parse(&value);
        }
    }
}
