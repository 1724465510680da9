//! Compose's interpolation: `$NAME`, `${NAME}`, `${NAME:-default}` and its relatives, and `$$` for a dollar. Pure.
//!
//! A template is read once, by this model. What is written for compose has the forms `$$` and `${NAME}` only, which every
//! version reads in the same way: a default is chosen here. The values themselves stay with the variables: compose puts
//! them in from its own environment, byte for byte, and does not read them as templates again.

use crate::observe::secrets::is_name;

/// `${A:-${B:-${C}}}` has three levels.
const DEEPEST: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable { name: String, otherwise: Option<Otherwise> },
}

/// What stands behind the name: `:-default`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Otherwise {
    kind: Kind,
    /// With a `:`, an empty value counts as none.
    empty_is_unset: bool,
    text: Template,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `-`: this text, if the variable is not set.
    Default,
    /// `+`: this text, if the variable is set; else nothing.
    Alternative,
    /// `?`: the variable must be set.
    Required,
}

/// A template of which every choice is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Literal(String),
    /// The value of this variable.
    Value(String),
}

/// The variable that a template needs, and that is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unset(pub String);

impl Template {
    /// A text without variables.
    pub fn literal(text: &str) -> Template {
        Template(vec![Part::Literal(text.to_owned())])
    }

    /// The value of one variable.
    pub fn variable(name: &str) -> Template {
        Template(vec![Part::Variable { name: name.to_owned(), otherwise: None }])
    }

    /// `None` if compose would call it an invalid interpolation.
    pub fn parse(text: &str) -> Option<Template> {
        parse(text, 0)
    }

    /// Makes every choice. `value` is the value of a variable; `None` if it is not set.
    pub fn pieces<'a>(&self, value: &impl Fn(&str) -> Option<&'a str>) -> Result<Vec<Piece>, Unset> {
        let mut pieces = Vec::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => pieces.push(Piece::Literal(text.clone())),
                Part::Variable { name, otherwise } => {
                    pieces.extend(chosen(name, otherwise.as_ref(), value)?);
                }
            }
        }
        Ok(pieces)
    }
}

fn chosen<'a>(
    name: &str,
    otherwise: Option<&Otherwise>,
    value: &impl Fn(&str) -> Option<&'a str>,
) -> Result<Vec<Piece>, Unset> {
    let own = || vec![Piece::Value(name.to_owned())];
    let found = value(name);
    let Some(Otherwise { kind, empty_is_unset, text }) = otherwise else {
        return found.map(|_| own()).ok_or_else(|| Unset(name.to_owned()));
    };
    let is_set = found.is_some_and(|found| !(*empty_is_unset && found.is_empty()));
    match (kind, is_set) {
        (Kind::Default | Kind::Required, true) => Ok(own()),
        (Kind::Default, false) | (Kind::Alternative, true) => text.pieces(value),
        (Kind::Alternative, false) => Ok(Vec::new()),
        (Kind::Required, false) => Err(Unset(name.to_owned())),
    }
}

/// As compose reads it.
pub fn written(pieces: &[Piece]) -> String {
    let each = pieces.iter().map(|piece| match piece {
        Piece::Literal(text) => escaped(text),
        Piece::Value(name) => format!("${{{name}}}"),
    });
    each.collect()
}

/// A text that compose does not change.
pub fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

fn parse(text: &str, depth: usize) -> Option<Template> {
    if depth > DEEPEST {
        return None;
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        push(&mut parts, &rest[..at]);
        let after = &rest[at + 1..];
        rest = match after.chars().next()? {
            '$' => {
                push(&mut parts, "$");
                &after[1..]
            }
            '{' => {
                let end = closing(&after[1..])?;
                parts.push(braced(&after[1..][..end], depth)?);
                &after[1..][end + 1..]
            }
            _ => {
                let name = name(after)?;
                parts.push(Part::Variable { name: name.to_owned(), otherwise: None });
                &after[name.len()..]
            }
        };
    }
    push(&mut parts, rest);
    Some(Template(parts))
}

fn push(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Literal(last)) => last.push_str(text),
        _ => parts.push(Part::Literal(text.to_owned())),
    }
}

/// Where the brace closes that is open in front of the text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if at > 0 && bytes[at - 1] == b'$' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

/// What is between the braces.
fn braced(text: &str, depth: usize) -> Option<Part> {
    let name = name(text)?;
    let rest = &text[name.len()..];
    if rest.is_empty() {
        return Some(Part::Variable { name: name.to_owned(), otherwise: None });
    }
    let (empty_is_unset, rest) = match rest.strip_prefix(':') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let kind = match rest.chars().next()? {
        '-' => Kind::Default,
        '+' => Kind::Alternative,
        '?' => Kind::Required,
        _ => return None,
    };
    // The text of an error is not a template that has an effect.
    let text = match kind {
        Kind::Required => Template(Vec::new()),
        _ => parse(&rest[1..], depth + 1)?,
    };
    Some(Part::Variable { name: name.to_owned(), otherwise: Some(Otherwise { kind, empty_is_unset, text }) })
}

/// The name at the beginning.
fn name(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    Some(&text[..end]).filter(|name| is_name(name))
}

/// The value for compose, of a text without variables.
pub fn text(text: &str) -> serde_json::Value {
    escaped(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> Option<&'static str> {
        match name {
            "A" => Some("a"),
            "EMPTY" => Some(""),
            _ => None,
        }
    }

    fn made(text: &str) -> Result<String, Unset> {
        let pieces = Template::parse(text).unwrap_or_else(|| panic!("{text}")).pieces(&value)?;
        Ok(written(&pieces))
    }

    #[test]
    fn choices_are_made_as_compose_makes_them() {
        for (text, made_of_it) in [
            ("", ""),
            ("plain # text's \"own\"\n", "plain # text's \"own\"\n"),
            ("$A-$A.x", "${A}-${A}.x"),
            ("${A}b", "${A}b"),
            ("$$A ${A}$$", "$$A ${A}$$"),
            ("$${A}", "$${A}"),
            ("${A:-d}", "${A}"),
            ("${B:-d}${B-e}", "de"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", "${EMPTY}"),
            ("${B:-}", ""),
            ("${B:-${A}/$$x}", "${A}/$$x"),
            ("${B:-${C:-c}}", "c"),
            ("${B:-a}b}", "ab}"),
            ("${A:+x}${B:+y}${EMPTY:+z}${EMPTY+w}", "xw"),
            ("${A:?why}${EMPTY?why}", "${A}${EMPTY}"),
            ("http://${A}:${B:-80}/?x={y}", "http://${A}:80/?x={y}"),
        ] {
            assert_eq!(made(text).as_deref(), Ok(made_of_it), "{text}");
        }
        for (text, name) in [("$B", "B"), ("x${B}", "B"), ("${EMPTY:?}", "EMPTY"), ("${B:-$C}", "C")] {
            assert_eq!(made(text), Err(Unset(name.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_compose_refuses_is_not_a_template() {
        let deep = "${A:-".repeat(20) + &"}".repeat(20);
        for text in [
            "$",
            "a$",
            "$1",
            "$ x",
            "${}",
            "${A",
            "${1}",
            "${A b}",
            "${A:x}",
            "${A/b/c}",
            "$-",
            deep.as_str(),
        ] {
            assert_eq!(Template::parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        /// What is written is read again as the same pieces, and a text without variables as itself.
        #[test]
        fn what_is_written_means_the_same(text in "[$a-b{}:\\-#'\"\\\\ \n\u{e9}]{0,20}") {
            let pieces = vec![Piece::Literal(text.clone()), Piece::Value("A".to_owned())];
            let read = Template::parse(&written(&pieces)).unwrap().pieces(&value).unwrap();
            let shown: String = read.iter().map(|piece| match piece {
                Piece::Literal(text) => text.clone(),
                Piece::Value(name) => format!("<{name}>"),
            }).collect();
            proptest::prop_assert_eq!(shown, format!("{text}<A>"));
            let _ = Template::parse(&text);
        }
    }
}
