//! How a shell would read a command line, as far as it decides which process a unit starts. Nothing is expanded here.
//!
//! What is not certainly one program counts as several: the worst that follows is one more process in the unit.

use std::ops::Range;

/// A line that a shell would run.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Words that no shell changes.
    Plain,
    /// One program, some of whose words a shell must expand. It begins at this byte, behind its assignments.
    OneProgram { at: usize },
    /// Several programs, or a command of the shell's own.
    Several,
}

/// What a shell would do something with. Without any of these, a line is its words.
const SYNTAX: &[char] = &[
    '|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?', '[', ']', '#', '~', '{', '}',
    '!', '\n',
];

/// Commands that the shell itself carries out or begins with: no program of this name could take its place.
const OF_THE_SHELL: &[&str] = &[
    ".", ":", "!", "{", "[[", "alias", "bg", "break", "builtin", "case", "cd", "command", "continue",
    "coproc", "declare", "do", "done", "elif", "else", "esac", "eval", "exit", "export", "fg", "fi", "for",
    "function", "if", "local", "read", "readonly", "return", "select", "set", "shift", "source", "then",
    "time", "times", "trap", "type", "typeset", "ulimit", "umask", "unalias", "unset", "until", "wait",
    "while", "}",
];

pub fn read(line: &str) -> Line {
    if !line.contains(SYNTAX) {
        return Line::Plain;
    }
    let Some(words) = words(line) else { return Line::Several };
    let program = words.into_iter().find(|word| assignment(&line[word.clone()]).is_none());
    match program.map(|word| (word.start, &line[word])) {
        Some((_, word)) if is_of_the_shell(word) => Line::Several,
        Some((at, _)) => Line::OneProgram { at },
        None => Line::Several,
    }
}

/// The parts of `a && b && c`; the whole line if it is one simple command. None if it has other syntax of a shell.
pub fn chain(line: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quote, mut escaped) = (Vec::new(), 0, None, false);
    let mut characters = line.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '&') if characters.next_if(|(_, next)| *next == '&').is_some() => {
                parts.push(line[start..at].trim());
                start = at + 2;
            }
            _ => {}
        }
    }
    parts.push(line[start..].trim());
    parts.iter().all(|part| words(part).is_some_and(|words| !words.is_empty())).then_some(parts)
}

/// A word as a shell takes it for one: bare if it has only characters to which no shell gives a meaning.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

pub fn is_of_the_shell(word: &str) -> bool {
    OF_THE_SHELL.contains(&word) || word.starts_with(['<', '>', '#'])
}

/// `NAME=value`, as it may stand in front of a program.
pub fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let legal = name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit());
    legal.then_some((name, value))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

/// The words of a line that is one simple command; nothing if it is more than that, or cannot be read.
pub fn words(line: &str) -> Option<Vec<Range<usize>>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = Quote::None;
    let mut before = ' ';
    let mut characters = line.char_indices();
    while let Some((at, c)) = characters.next() {
        let next = characters.as_str().chars().next();
        match (quote, c) {
            (Quote::None | Quote::Double, '`') | (Quote::None, '|' | ';' | '(' | ')' | '\n') => return None,
            (Quote::None | Quote::Double, '$') if next == Some('(') => return None,
            // 2>&1 is one redirection, << begins another text.
            (Quote::None, '&') if !matches!(before, '<' | '>') => return None,
            (Quote::None, '<') if before == '<' => return None,
            (Quote::None, '\'') => quote = Quote::Single,
            (Quote::None, '"') => quote = Quote::Double,
            (Quote::Single, '\'') | (Quote::Double, '"') => quote = Quote::None,
            (Quote::None | Quote::Double, '\\') => {
                start.get_or_insert(at);
                characters.next().filter(|(_, escaped)| *escaped != '\n')?;
                before = 'x';
                continue;
            }
            (Quote::None, c) if c.is_whitespace() => {
                words.extend(start.take().map(|start| start..at));
                before = c;
                continue;
            }
            _ => {}
        }
        start.get_or_insert(at);
        before = c;
    }
    words.extend(start.map(|start| start..line.len()));
    (quote == Quote::None).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_without_syntax_need_no_shell() {
        for line in ["node server.js --port=3000", "A=b node x", "next start"] {
            assert_eq!(read(line), Line::Plain, "{line}");
        }
    }

    #[test]
    fn one_program_is_found_behind_its_assignments() {
        for (line, program) in [
            ("node 'a b.js'", "node"),
            ("node server.js \"x && y; z | w\"", "node"),
            ("A=$B node x", "node"),
            ("A=\"x y\" B='$(z)' node x", "node"),
            ("node server.js > /tmp/log 2>&1", "node"),
            ("node server.js >&2", "node"),
            ("node x.js a\\;b", "node"),
            ("\"$NODE\" x", "\"$NODE\""),
            ("node dist/*.js ${A:-b} ~/x [ab]", "node"),
            ("node x # comment", "node"),
            ("exec node \"x\"", "exec"),
        ] {
            let Line::OneProgram { at } = read(line) else { panic!("{line}: {:?}", read(line)) };
            assert!(line[at..].starts_with(program), "{line}: {}", &line[at..]);
        }
    }

    #[test]
    fn a_chain_is_split_where_a_shell_would() {
        for (line, parts) in [
            ("a && b", &["a", "b"][..]),
            ("a 'x && y'&&b \"&&\" && c", &["a 'x && y'", "b \"&&\"", "c"]),
            ("node x", &["node x"]),
            ("a \\&\\& b", &["a \\&\\& b"]),
        ] {
            assert_eq!(chain(line).as_deref(), Some(parts), "{line}");
        }
        for line in ["a && b | c", "a & b", "a &&", "&& a", "a; b && c", "(a && b)", "a && $(b)", "a && 'b"] {
            assert_eq!(chain(line), None, "{line}");
        }
    }

    #[test]
    fn all_that_may_be_more_than_one_program_counts_as_several() {
        for line in [
            "echo hi && node server.js",
            "node a || node b",
            "node a; node b",
            "node a | cat",
            "node a &",
            "node a &> log",
            "(cd x && node a)",
            "cd x\nnode a",
            "node `which x`",
            "node \"$(cat file)\"",
            "node $(cat file)",
            "if true; then node x; fi",
            "while node x; do :; done",
            "! node 'x'",
            "eval 'node x'",
            ". './env'",
            "{ node x }",
            "node x <<END",
            "> log node x",
            "node 'x",
            "node \"x",
            "node x\\",
            "node a\\\nb",
            "A='b'",
            "# node x",
        ] {
            assert_eq!(read(line), Line::Several, "{line}");
        }
    }
}
