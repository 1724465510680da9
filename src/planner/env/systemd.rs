//! The file for systemd's `EnvironmentFile=`: writer, and a model of its reader (systemd.exec(5);
//! `parse_env_file_internal` in env-file.c).

use super::{Dialect, IfUncarried};
use crate::observe::secrets::Variables;
use crate::secret::Secret;

/// The only characters that a backslash escapes within double quotes.
const ESCAPED: [char; 4] = ['"', '\\', '$', '`'];

pub const SYSTEMD: Dialect = Dialect {
    name: "systemd",
    file: "EnvironmentFile",
    write,
    read,
    uncarried,
    if_uncarried: IfUncarried::Refuse,
};

/// Why the file cannot contain this variable. With such a value systemd rejects the whole file.
fn uncarried(_: &str, value: &Secret) -> Option<&'static str> {
    let value = value.expose();
    if value.contains('\0') {
        return Some("contains a NUL byte, which ends an environment string");
    }
    value
        .chars()
        .any(is_noncharacter)
        .then_some("contains a Unicode noncharacter, with which systemd rejects the file")
}

/// U+FDD0 to U+FDEF, and the last two of each plane (`unichar_is_valid` in systemd's utf8.c).
fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

fn write(variables: &Variables, header: &str) -> (String, Variables, Vec<String>) {
    let mut text = format!("# {header}\n");
    text.extend(variables.iter().map(|(key, value)| entry(key, value)));
    (text, variables.clone(), Vec::new())
}

/// In double quotes, which may contain every other value, newlines and carriage returns included.
pub(super) fn entry(key: &str, value: &Secret) -> String {
    let mut text = format!("{key}=\"");
    for c in value.expose().chars() {
        if ESCAPED.contains(&c) {
            text.push('\\');
        }
        text.push(c);
    }
    text.push_str("\"\n");
    text
}

/// systemd's parser, state by state: the variables that it reads. `None` if it would report an error.
pub fn read(text: &str) -> Option<Variables> {
    if text.contains('\0') || text.chars().any(is_noncharacter) {
        return None;
    }
    let mut reader = Reader {
        state: State::BeforeKey,
        key: String::new(),
        value: Value::default(),
        variables: Variables::default(),
    };
    text.chars().try_for_each(|c| reader.step(c))?;
    // At the end of the file systemd takes a variable that has its `=`, even if a quote is not closed.
    if !matches!(reader.state, State::BeforeKey | State::Key | State::Comment | State::CommentEscape) {
        reader.push()?;
    }
    Some(reader.variables)
}

#[derive(Clone, Copy)]
enum State {
    BeforeKey,
    Key,
    BeforeValue,
    Bare,
    BareEscape,
    Single,
    Double,
    DoubleEscape,
    Comment,
    CommentEscape,
}

/// The text of a value so far, and where blanks at its end begin, which are cut off.
#[derive(Default)]
struct Value {
    text: String,
    blanks_from: Option<usize>,
}

struct Reader {
    state: State,
    key: String,
    value: Value,
    variables: Variables,
}

fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

impl Reader {
    fn step(&mut self, c: char) -> Option<()> {
        self.state = match self.state {
            State::BeforeKey if matches!(c, '#' | ';') => State::Comment,
            State::BeforeKey if is_blank(c) => State::BeforeKey,
            State::BeforeKey => {
                self.key.push(c);
                State::Key
            }
            State::Key if is_newline(c) => {
                self.key.clear();
                State::BeforeKey
            }
            State::Key if c == '=' => {
                self.value = Value::default();
                State::BeforeValue
            }
            State::Key => {
                self.key.push(c);
                State::Key
            }
            State::BeforeValue | State::Bare if is_newline(c) => {
                self.push()?;
                State::BeforeKey
            }
            State::BeforeValue if c == '\'' => State::Single,
            State::BeforeValue if c == '"' => State::Double,
            State::BeforeValue if c == '\\' => State::BareEscape,
            State::BeforeValue if is_blank(c) => State::BeforeValue,
            State::BeforeValue => self.add(c, State::Bare),
            State::Bare if c == '\\' => {
                self.value.blanks_from = None;
                State::BareEscape
            }
            State::Bare => {
                match is_blank(c) {
                    true => self.value.blanks_from = self.value.blanks_from.or(Some(self.value.text.len())),
                    false => self.value.blanks_from = None,
                }
                self.add(c, State::Bare)
            }
            State::BareEscape if is_newline(c) => State::Bare,
            State::BareEscape => self.add(c, State::Bare),
            State::Single if c == '\'' => State::BeforeValue,
            State::Single => self.add(c, State::Single),
            State::Double if c == '"' => State::BeforeValue,
            State::Double if c == '\\' => State::DoubleEscape,
            State::Double => self.add(c, State::Double),
            State::DoubleEscape if ESCAPED.contains(&c) => self.add(c, State::Double),
            State::DoubleEscape if c == '\n' => State::Double,
            State::DoubleEscape => {
                self.value.text.push('\\');
                self.add(c, State::Double)
            }
            State::Comment if c == '\\' => State::CommentEscape,
            State::Comment if is_newline(c) => State::BeforeKey,
            State::Comment | State::CommentEscape => State::Comment,
        };
        Some(())
    }

    fn add(&mut self, c: char, next: State) -> State {
        self.value.text.push(c);
        next
    }

    /// Adds a complete variable. If a name occurs twice, systemd takes the last one; bootagent writes no name twice, so
    /// that is an error here.
    fn push(&mut self) -> Option<()> {
        let Value { mut text, blanks_from } = std::mem::take(&mut self.value);
        text.truncate(blanks_from.unwrap_or(text.len()));
        let key = std::mem::take(&mut self.key);
        self.variables.insert(key.trim_end_matches(is_blank), Secret::new(text)).is_none().then_some(())
    }
}
