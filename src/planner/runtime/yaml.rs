//! What the planner reads of a YAML file: the texts and the lists of texts at the top level of its first document. Other
//! values are known by their key only, and aliases are not followed. Pure.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, StrInput};

use crate::secret::excerpt;

/// A hostile file must not take long: the parser looks back over all open brackets.
const DEEPEST: usize = 32;
const MOST_EVENTS: usize = 20_000;

#[derive(Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    List(Vec<String>),
    Other,
}

pub type Top = BTreeMap<String, Value>;

/// By key. An empty file has none. The error says why the file was not understood.
pub fn top(text: &str) -> Result<Top, String> {
    let mut reader = Reader { parser: Parser::new_from_str(text), depth: 0, events: 0 };
    let mut found = Top::new();
    loop {
        match reader.next()? {
            Event::StreamStart | Event::DocumentStart(_) => {}
            Event::MappingStart(..) => break,
            Event::StreamEnd | Event::DocumentEnd => return Ok(found),
            Event::Scalar(text, ..) if text.is_empty() || text == "~" || text == "null" => return Ok(found),
            _ => return Err("it is not a mapping".to_owned()),
        }
    }
    loop {
        match reader.next()? {
            Event::MappingEnd => return Ok(found),
            Event::Scalar(key, ..) => {
                let value = reader.value()?;
                found.entry(key.into_owned()).or_insert(value);
            }
            _ => return Err("one of its keys is not a text".to_owned()),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    depth: usize,
    events: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        self.events += 1;
        let event = match self.parser.next_event() {
            Some(Ok((event, _))) => event,
            Some(Err(error)) => return Err(excerpt(&error.to_string())),
            None => Event::StreamEnd,
        };
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => self.depth += 1,
            Event::MappingEnd | Event::SequenceEnd => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if self.depth > DEEPEST || self.events > MOST_EVENTS {
            return Err(format!(
                "it has more than {MOST_EVENTS} values, or they are nested deeper than {DEEPEST}"
            ));
        }
        Ok(event)
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.next()? {
            Event::Scalar(text, ..) => Ok(Value::Text(text.into_owned())),
            Event::SequenceStart(..) => self.list(),
            Event::MappingStart(..) => {
                self.leave(self.depth - 1)?;
                Ok(Value::Other)
            }
            _ => Ok(Value::Other),
        }
    }

    /// A list with anything else than texts is not understood.
    fn list(&mut self) -> Result<Value, String> {
        let outside = self.depth - 1;
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::Scalar(text, ..) => items.push(text.into_owned()),
                Event::SequenceEnd => return Ok(Value::List(items)),
                _ => {
                    self.leave(outside)?;
                    return Ok(Value::Other);
                }
            }
        }
    }

    /// Reads on to the end of what is open.
    fn leave(&mut self, outside: usize) -> Result<(), String> {
        while self.depth > outside {
            if self.next()? == Event::StreamEnd {
                return Err("it ends too early".to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Value {
        Value::List(items.iter().map(|item| (*item).to_owned()).collect())
    }

    #[test]
    fn texts_and_lists_of_the_top_level_are_read() {
        for (text, key, value) in [
            (
                "packages:\n  - 'apps/*'  # all\n  - \"!x\"\n\ncatalog:\n  a: 1\n",
                "packages",
                list(&["apps/*", "!x"]),
            ),
            ("packages: [\"apps/*\", b]\n", "packages", list(&["apps/*", "b"])),
            ("packages: [\n  a,\n  b, # c\n]\n", "packages", list(&["a", "b"])),
            ("\"packages\":\n- a\n", "packages", list(&["a"])),
            ("{packages: [a]}", "packages", list(&["a"])),
            ("%YAML 1.2\n---\r\nb: {c: [d]}\r\npackages: [a]\r\n", "packages", list(&["a"])),
            ("nodeLinker: node-modules # not pnp\n", "nodeLinker", Value::Text("node-modules".to_owned())),
            ("nodeLinker: \"pnp\"\n", "nodeLinker", Value::Text("pnp".to_owned())),
            ("x: &a [b]\npackages: *a\n", "packages", Value::Other),
            ("x: &a b\npackages: [*a, {c: d}]\ny: z\n", "packages", Value::Other),
            ("a: {b: c}\n", "a", Value::Other),
        ] {
            let found = top(text).unwrap();
            assert_eq!(found.get(key), Some(&value), "{text}");
        }
        assert_eq!(top("x: [*a, {c: d}]\ny: z\n").ok().and_then(|mut top| top.remove("y")), None);
        assert_eq!(top("a: &a b\nx: [*a, {c: d}]\ny: z\n").unwrap()["y"], Value::Text("z".to_owned()));
        for empty in ["", "# nothing\n", "---\n", "~\n"] {
            assert_eq!(top(empty), Ok(Top::new()), "{empty}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in ["- a\n", "packages: [a\n", "a: 'b\n", "text\n", "? [a]\n: b\n", "a: b: c\n", "a: *b\n"] {
            assert!(top(text).is_err(), "{text}: {:?}", top(text));
        }
    }

    /// Each of these would take minutes, or a stack, without limits.
    #[test]
    fn a_hostile_file_is_refused_soon() {
        for (part, times) in
            [("[", 250_000), ("{a: ", 60_000), ("- ", 120_000), ("? ", 120_000), ("a: b\n", 50_000)]
        {
            assert!(top(&part.repeat(times)).is_err(), "{part}");
        }
        let bomb = "a: &a [x]\n".to_owned() + &"b: [*a, *a, *a]\n".repeat(3);
        assert_eq!(top(&bomb).unwrap()["b"], Value::Other);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a\\-:?\\[\\]{}&*!|>'\"#%@ \n\t,~\u{e9}]{0,60}") {
            let _ = top(&text);
        }
    }
}
