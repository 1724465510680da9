//! Reads a whole YAML document as a tree: with its anchors, aliases and merge keys (`<<`) put in. Other files are read with
//! `yaml.rs`, which needs their top level only. Pure.
//!
//! A plain scalar stays the text that the file has. `1.10` is not a number here, which would become `1.1`.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use crate::secret::excerpt;

/// In bytes.
const LONGEST_KEY: usize = 256;

/// Of a tree with all aliases put in: one of a few lines could otherwise fill the memory.
const DEEPEST: usize = 32;
const MOST_NODES: usize = 20_000;
const MOST_BYTES: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Null,
    /// Without quotes: perhaps a number, `true` or `false`.
    Plain(String),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file. No key occurs twice.
    Map(Vec<(String, Node)>),
}

/// The first document; a file without one is `Null`. The error says why it was not understood.
pub fn read(text: &str) -> Result<Node, String> {
    let mut builder =
        Builder { parser: Parser::new_from_str(text), depth: 0, nodes: 0, bytes: 0, anchors: HashMap::new() };
    loop {
        match builder.next()? {
            Event::StreamStart | Event::DocumentStart(_) => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(Node::Null),
            event => {
                let node = builder.node(event)?;
                return match builder.next()? {
                    Event::DocumentEnd => builder.end(node),
                    _ => Err("it ends too late".to_owned()),
                };
            }
        }
    }
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    depth: usize,
    nodes: usize,
    bytes: usize,
    anchors: HashMap<usize, Node>,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(excerpt(&error.to_string())),
            None => Ok(Event::StreamEnd),
        }
    }

    fn end(&mut self, node: Node) -> Result<Node, String> {
        match self.next()? {
            Event::StreamEnd => Ok(node),
            _ => Err("it has more than one document".to_owned()),
        }
    }

    fn count(&mut self, nodes: usize, bytes: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.bytes = self.bytes.saturating_add(bytes);
        match self.nodes > MOST_NODES || self.bytes > MOST_BYTES {
            true => Err(format!("it has more than {MOST_NODES} values or {MOST_BYTES} bytes of text")),
            false => Ok(()),
        }
    }

    fn node(&mut self, event: Event<'a>) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("its values are nested deeper than {DEEPEST}"));
        }
        self.count(1, 0)?;
        let (node, anchor) = match event {
            Event::Alias(anchor) => (self.alias(anchor)?, 0),
            Event::Scalar(text, style, anchor, None) => {
                self.count(0, text.len())?;
                (scalar(text.into_owned(), style), anchor)
            }
            Event::SequenceStart(anchor, None) => (self.list()?, anchor),
            Event::MappingStart(anchor, None) => (self.map()?, anchor),
            Event::Scalar(.., Some(tag))
            | Event::SequenceStart(_, Some(tag))
            | Event::MappingStart(_, Some(tag)) => {
                return Err(format!("it has the tag {}", excerpt(&format!("{}{}", tag.handle, tag.suffix))));
            }
            _ => return Err("it ends too early".to_owned()),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.depth -= 1;
        Ok(node)
    }

    fn alias(&mut self, anchor: usize) -> Result<Node, String> {
        // An alias within the value that it names is not known yet.
        let node = self.anchors.get(&anchor).cloned().ok_or("an alias names what is not complete")?;
        let (nodes, bytes) = size(&node);
        self.count(nodes, bytes)?;
        Ok(node)
    }

    fn list(&mut self) -> Result<Node, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Node::List(items)),
                event => items.push(self.node(event)?),
            }
        }
    }

    fn map(&mut self) -> Result<Node, String> {
        let (mut own, mut merged) = (Vec::<(String, Node)>::new(), Vec::<(String, Node)>::new());
        loop {
            let (key, is_plain) = match self.next()? {
                Event::MappingEnd => break,
                Event::Scalar(key, style, _, None) => (key.into_owned(), style == ScalarStyle::Plain),
                _ => return Err("one of its keys is not a text".to_owned()),
            };
            // A place in the file, as errors name it, repeats the keys above it.
            if key.len() > LONGEST_KEY {
                return Err(format!("a key has more than {LONGEST_KEY} bytes"));
            }
            self.count(1, key.len())?;
            let event = self.next()?;
            let value = self.node(event)?;
            if key == "<<" && is_plain {
                merge(&mut merged, value)?;
            } else if own.iter().any(|(known, _)| *known == key) {
                return Err(format!("the key {} occurs twice", excerpt(&key)));
            } else {
                own.push((key, value));
            }
        }
        for (key, value) in merged {
            if !own.iter().any(|(known, _)| *known == key) {
                own.push((key, value));
            }
        }
        Ok(Node::Map(own))
    }
}

/// The entries of earlier maps win, as YAML says.
fn merge(merged: &mut Vec<(String, Node)>, value: Node) -> Result<(), String> {
    let maps = match value {
        Node::List(maps) => maps,
        one => vec![one],
    };
    for map in maps {
        let Node::Map(entries) = map else { return Err("<< names what is not a mapping".to_owned()) };
        for (key, value) in entries {
            if !merged.iter().any(|(known, _)| *known == key) {
                merged.push((key, value));
            }
        }
    }
    Ok(())
}

fn scalar(text: String, style: ScalarStyle) -> Node {
    match style {
        ScalarStyle::Plain if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") => Node::Null,
        ScalarStyle::Plain => Node::Plain(text),
        _ => Node::Text(text),
    }
}

fn size(node: &Node) -> (usize, usize) {
    let sum = |sizes: &mut dyn Iterator<Item = (usize, usize)>| {
        sizes.fold((1, 0), |(nodes, bytes), (more, text)| (nodes + more, bytes + text))
    };
    match node {
        Node::Null => (1, 0),
        Node::Plain(text) | Node::Text(text) => (1, text.len()),
        Node::List(items) => sum(&mut items.iter().map(size)),
        Node::Map(entries) => sum(&mut entries.iter().map(|(key, value)| {
            let (nodes, bytes) = size(value);
            (nodes + 1, bytes + key.len())
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Node {
        Node::Plain(text.to_owned())
    }

    fn map(entries: &[(&str, Node)]) -> Node {
        Node::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }

    #[test]
    fn anchors_and_merge_keys_are_put_in() {
        let text = "x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz:\n  <<: [{a: 9}, *x]\n";
        let x = map(&[("a", plain("1")), ("b", plain("2"))]);
        let y = map(&[("b", plain("3")), ("a", plain("1"))]);
        let z = map(&[("a", plain("9")), ("b", plain("2"))]);
        assert_eq!(read(text), Ok(map(&[("x", x), ("y", y), ("z", z)])));
    }

    #[test]
    fn scalars_keep_their_text() {
        for (text, node) in [
            ("1.10", plain("1.10")),
            ("0777", plain("0777")),
            ("yes", plain("yes")),
            ("~", Node::Null),
            ("", Node::Null),
            ("'1'", Node::Text("1".to_owned())),
            ("\"a\\nb\"", Node::Text("a\nb".to_owned())),
            ("|\n  a\n  b\n", Node::Text("a\nb\n".to_owned())),
            ("''", Node::Text(String::new())),
        ] {
            assert_eq!(read(text), Ok(node), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in [
            "a: 1\na: 2\n",
            "a: !reset null\n",
            "a: !!str 1\n",
            "? [a]\n: b\n",
            "a: 1\n---\nb: 2\n",
            "a: *x\n",
            "a: &x [*x]\n",
            "a: {<<: 1}\n",
            "a: [\n",
        ] {
            assert!(read(text).is_err(), "{text}: {:?}", read(text));
        }
    }

    /// Each of these would fill the memory or a stack without limits.
    #[test]
    fn a_hostile_file_is_refused_soon() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let of = format!("*a{}, ", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{of}]\n");
        }
        assert!(read(&bomb).is_err());
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(100));
        assert!(read(&long).is_err());
        for (part, times) in [("[", 250_000), ("{a: ", 60_000), ("- ", 120_000), ("? ", 120_000)] {
            assert!(read(&part.repeat(times)).is_err(), "{part}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a\\-:?\\[\\]{}&*!|>'\"#%@<~ \n\t,\u{e9}]{0,60}") {
            let _ = read(&text);
        }
    }
}
