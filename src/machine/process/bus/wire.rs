//! The messages of D-Bus, little-endian only: writes a call of a method, and reads answers of every type. Touches nothing.

use std::collections::BTreeMap;

/// The part of a message that has a fixed length.
pub const FIXED: usize = 16;
/// More containers in one another than any of systemd's.
const DEEPEST: u32 = 16;
const LITTLE: u8 = b'l';
const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ANSWERED: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

pub type Properties = BTreeMap<String, Value>;

/// A value, without its exact type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    /// A number, or a truth value: 0 or 1.
    Number(i128),
    /// The elements of an array, or the members of a structure or of an entry of a dictionary.
    List(Vec<Value>),
}

impl Value {
    /// Empty for a value of another kind.
    pub fn text(&self) -> String {
        if let Value::Text(text) = self { text.clone() } else { String::new() }
    }

    /// 0 for a value of another kind.
    pub fn number(&self) -> i128 {
        if let Value::Number(number) = self { *number } else { 0 }
    }

    /// Empty for a value of another kind.
    pub fn list(&self) -> &[Value] {
        if let Value::List(list) = self { list } else { &[] }
    }
}

/// The arguments of a call.
#[derive(Default)]
pub struct Body {
    signature: String,
    bytes: Vec<u8>,
}

impl Body {
    pub fn text(mut self, text: &str) -> Body {
        self.signature.push('s');
        put_text(&mut self.bytes, text);
        self
    }

    pub fn texts(mut self, texts: &[String]) -> Body {
        self.signature.push_str("as");
        pad(&mut self.bytes, 4);
        let mut list = Vec::new();
        texts.iter().for_each(|text| put_text(&mut list, text));
        self.bytes.extend(length(&list));
        self.bytes.extend(list);
        self
    }
}

/// A call of a method of systemd.
pub fn call(serial: u32, path: &str, interface: &str, member: &str, body: &Body) -> Vec<u8> {
    let mut fields = Vec::new();
    let texts = [
        (PATH, 'o', path),
        (DESTINATION, 's', "org.freedesktop.systemd1"),
        (INTERFACE, 's', interface),
        (MEMBER, 's', member),
    ];
    for (field, kind, text) in texts {
        pad(&mut fields, 8);
        fields.extend([field, 1, kind as u8, 0]);
        put_text(&mut fields, text);
    }
    pad(&mut fields, 8);
    fields.extend([SIGNATURE, 1, b'g', 0, body.signature.len() as u8]);
    fields.extend(body.signature.bytes().chain([0]));
    message(CALL, serial, fields, &body.bytes)
}

fn message(kind: u8, serial: u32, mut fields: Vec<u8>, body: &[u8]) -> Vec<u8> {
    let mut message = vec![LITTLE, kind, 0, 1];
    message.extend(length(body));
    message.extend(serial.to_le_bytes());
    message.extend(length(&fields));
    pad(&mut fields, 8);
    message.extend(fields);
    message.extend(body);
    message
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    pad(bytes, 4);
    bytes.extend(length(text.as_bytes()));
    bytes.extend(text.bytes().chain([0]));
}

/// Of at most 4 GiB: names of units, and patterns.
fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

/// What the fixed part of a message says.
pub struct Head {
    kind: u8,
    fields: usize,
    body: usize,
}

impl Head {
    /// `None` if it is not a message that can be read here.
    pub fn of(fixed: &[u8]) -> Option<Head> {
        let mut reader = Reader { bytes: fixed, at: 4 };
        let (body, _, fields) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let is_known = fixed.first() == Some(&LITTLE);
        is_known.then_some(Head { kind: *fixed.get(1)?, fields: fields as usize, body: body as usize })
    }

    /// Of the whole message, in bytes.
    pub fn length(&self) -> usize {
        self.before_the_body().saturating_add(self.body)
    }

    fn before_the_body(&self) -> usize {
        FIXED.saturating_add(self.fields).next_multiple_of(8)
    }

    /// Whether the message is the answer to the call with this serial number, be it an error.
    pub fn answers(&self, message: &[u8], serial: u32) -> bool {
        let answered = self.field(message, ANSWERED).map(|value| value.number());
        matches!(self.kind, RETURN | ERROR) && answered == Some(serial.into())
    }

    /// Whether the call succeeded.
    pub fn is_return(&self) -> bool {
        self.kind == RETURN
    }

    /// The values of a signal of this name and these types.
    pub fn signal(&self, message: &[u8], member: &str, signature: &str) -> Option<Value> {
        let is_text =
            |code: u8, text: &str| self.field(message, code).is_some_and(|field| field.text() == text);
        let is_so = self.kind == SIGNAL && is_text(MEMBER, member) && is_text(SIGNATURE, signature);
        let bytes = message.get(self.before_the_body()..).filter(|_| is_so)?;
        Reader { bytes, at: 0 }.value(&mut format!("({signature})").as_bytes(), 0)
    }

    /// The one value of the answer; `None` if it is an error, or of another type than `signature`.
    pub fn content(&self, message: &[u8], signature: &str) -> Option<Value> {
        self.body(message, signature)?.value(&mut signature.as_bytes(), 0)
    }

    /// Of an answer that is a dictionary (`a{sv}`), the entries with these keys. A unit has some 250, of which few are wanted.
    pub fn properties(&self, message: &[u8], wanted: &[&str]) -> Option<Properties> {
        let mut reader = self.body(message, "a{sv}")?;
        let end = reader.begin_array(b'{')?;
        let mut found = Properties::new();
        while reader.at < end {
            reader.align(8)?;
            let length = reader.u32()? as usize;
            let key = reader.take(length)?;
            reader.take(1)?;
            match wanted.iter().find(|name| name.as_bytes() == key) {
                Some(name) => drop(found.insert((*name).to_owned(), reader.value(&mut b"v".as_slice(), 0)?)),
                None => reader.skip(&mut b"v".as_slice(), 0)?,
            }
        }
        (reader.at == end).then_some(found)
    }

    fn body<'a>(&self, message: &'a [u8], signature: &str) -> Option<Reader<'a>> {
        let is_so = self.kind == RETURN && self.field(message, SIGNATURE)?.text() == signature;
        let bytes = message.get(self.before_the_body()..).filter(|_| is_so)?;
        Some(Reader { bytes, at: 0 })
    }

    fn field(&self, message: &[u8], wanted: u8) -> Option<Value> {
        let fields = Reader { bytes: message, at: FIXED - 4 }.value(&mut b"a(yv)".as_slice(), 0)?;
        let of = |field: &Value| field.list().first().is_some_and(|code| code.number() == wanted.into());
        fields.list().iter().find(|field| of(field))?.list().get(1).cloned()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    /// `count` bytes at a multiple of that.
    fn number(&mut self, count: usize) -> Option<u64> {
        self.align(count)?;
        let mut bytes = [0; 8];
        bytes.get_mut(..count)?.copy_from_slice(self.take(count)?);
        Some(u64::from_le_bytes(bytes))
    }

    fn u32(&mut self) -> Option<u32> {
        self.number(4).map(|number| number as u32)
    }

    /// With the zero byte that follows a text.
    fn text(&mut self, length: usize) -> Option<Value> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Some(Value::Text(text))
    }

    /// A value of the first type in `signature`, which then is the rest.
    fn value(&mut self, signature: &mut &[u8], depth: u32) -> Option<Value> {
        let (first, rest) = signature.split_first().filter(|_| depth < DEEPEST)?;
        *signature = rest;
        let number = |number: Option<u64>| number.map(|number| Value::Number(number.into()));
        match first {
            b'y' => number(self.number(1)),
            b'n' => self.number(2).map(|number| Value::Number((number as i16).into())),
            b'q' => number(self.number(2)),
            b'i' => self.number(4).map(|number| Value::Number((number as i32).into())),
            b'b' | b'u' | b'h' => number(self.number(4)),
            b'x' => self.number(8).map(|number| Value::Number((number as i64).into())),
            b't' | b'd' => number(self.number(8)),
            b's' | b'o' => self.u32().and_then(|length| self.text(length as usize)),
            b'g' => self.number(1).and_then(|length| self.text(length as usize)),
            b'v' => {
                let mut inner = self.inner()?;
                self.value(&mut inner, depth + 1)
            }
            b'(' | b'{' => {
                self.align(8)?;
                let mut members = Vec::new();
                while !matches!(signature.first()?, b')' | b'}') {
                    members.push(self.value(signature, depth + 1)?);
                }
                *signature = &signature[1..];
                Some(Value::List(members))
            }
            b'a' => self.array(signature, depth),
            _ => None,
        }
    }

    /// The signature of the value in a variant.
    fn inner(&mut self) -> Option<&'a [u8]> {
        let length = self.number(1)? as usize;
        let signature = self.take(length)?;
        self.take(1)?;
        Some(signature)
    }

    /// Goes past a value of the first type in `signature`.
    fn skip(&mut self, signature: &mut &[u8], depth: u32) -> Option<()> {
        let (first, rest) = signature.split_first().filter(|_| depth < DEEPEST)?;
        match first {
            b's' | b'o' => {
                *signature = rest;
                let length = self.u32()? as usize;
                self.take(length.checked_add(1)?).map(drop)
            }
            b'v' => {
                *signature = rest;
                let mut inner = self.inner()?;
                self.skip(&mut inner, depth + 1)
            }
            b'a' => {
                let (element, rest) = rest.split_at_checked(complete(rest, depth)?)?;
                *signature = rest;
                self.at = self.begin_array(*element.first()?)?;
                Some(())
            }
            _ => self.value(signature, depth).map(drop),
        }
    }

    /// Where an array ends whose first element is next.
    fn begin_array(&mut self, element: u8) -> Option<usize> {
        let length = self.u32()? as usize;
        self.align(alignment(element))?;
        self.at.checked_add(length).filter(|end| *end <= self.bytes.len())
    }

    fn array(&mut self, signature: &mut &[u8], depth: u32) -> Option<Value> {
        let (element, rest) = signature.split_at_checked(complete(signature, depth)?)?;
        *signature = rest;
        let end = self.begin_array(*element.first()?)?;
        let mut elements = Vec::new();
        while self.at < end {
            let before = self.at;
            elements.push(self.value(&mut &*element, depth + 1)?);
            // A type of no length would be read for ever.
            if self.at == before {
                return None;
            }
        }
        (self.at == end).then_some(Value::List(elements))
    }
}

fn alignment(kind: u8) -> usize {
    match kind {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 4,
    }
}

/// The length of the first type in a signature.
fn complete(signature: &[u8], depth: u32) -> Option<usize> {
    match signature.first().filter(|_| depth < DEEPEST)? {
        b'a' => Some(1 + complete(&signature[1..], depth + 1)?),
        b'(' | b'{' => {
            let mut at = 1;
            while !matches!(signature.get(at)?, b')' | b'}') {
                at += complete(&signature[at..], depth + 1)?;
            }
            Some(at + 1)
        }
        _ => Some(1),
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
pub mod tests;
