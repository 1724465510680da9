//! Messages of D-Bus: what is read of whole ones, and that damaged ones are refused.

use super::*;

/// A message of this kind that answers a call, with one text of this type.
pub fn message(kind: u8, answered: u32, signature: &str, text: &str) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, text);
    with_body(kind, answered, signature, &body)
}

fn with_body(kind: u8, answered: u32, signature: &str, body: &[u8]) -> Vec<u8> {
    let mut fields = vec![ANSWERED, 1, b'u', 0];
    fields.extend(answered.to_le_bytes());
    fields.extend([SIGNATURE, 1, b'g', 0, signature.len() as u8]);
    fields.extend(signature.bytes().chain([0]));
    super::message(kind, 7, fields, body)
}

/// The signal that a job ended so.
pub fn removed(job: &str, result: &str) -> Vec<u8> {
    let mut fields = vec![MEMBER, 1, b's', 0];
    put_text(&mut fields, "JobRemoved");
    pad(&mut fields, 8);
    fields.extend([SIGNATURE, 1, b'g', 0, 4]);
    fields.extend(b"uoss\0");
    let mut body = 7_u32.to_le_bytes().to_vec();
    [job, "auth.service", result].iter().for_each(|text| put_text(&mut body, text));
    super::message(SIGNAL, 9, fields, &body)
}

fn read(message: &[u8], signature: &str) -> Option<Value> {
    head(message)?.content(message, signature)
}

fn head(message: &[u8]) -> Option<Head> {
    let head = Head::of(message.get(..FIXED)?)?;
    (head.length() == message.len() && head.answers(message, 3)).then_some(head)
}

fn read_properties(message: &[u8], wanted: &[&str]) -> Option<Properties> {
    head(message)?.properties(message, wanted)
}

const ALL: [&str; 6] = ["MainPID", "Nice", "Since", "Hooks", "Invocation", "Unit"];

/// `a{sv}` with a number, a list of commands, an empty list of structures, and a text.
fn properties() -> Vec<u8> {
    let mut entries = Vec::new();
    let mut key = |name: &str, signature: &str, value: &[u8], at: usize| {
        pad(&mut entries, 8);
        put_text(&mut entries, name);
        entries.push(signature.len() as u8);
        entries.extend(signature.bytes().chain([0]));
        pad(&mut entries, at);
        entries.extend(value);
    };
    key("MainPID", "u", &17_u32.to_le_bytes(), 4);
    key("Nice", "i", &(-5_i32).to_le_bytes(), 4);
    key("Since", "t", &u64::MAX.to_le_bytes(), 8);
    key("Hooks", "a(si)", &[0; 4], 4);
    key("Invocation", "ay", &[2, 0, 0, 0, 0xab, 1], 4);
    key("Unit", "s", b"\x01\0\0\0x\0", 4);
    let mut body = length(&entries).to_vec();
    pad(&mut body, 8);
    body.extend(entries);
    body
}

#[test]
fn a_signal_is_known_by_its_name_and_types() {
    let message = removed("/job/7", "failed");
    let signal = |member, types| Head::of(&message[..FIXED]).unwrap().signal(&message, member, types);
    let values = signal("JobRemoved", "uoss").unwrap();
    assert_eq!(
        (values.list()[1].text(), values.list()[3].text()),
        ("/job/7".to_owned(), "failed".to_owned())
    );
    assert_eq!((signal("JobNew", "uoss"), signal("JobRemoved", "uos")), (None, None));
    let answer = super::tests::message(RETURN, 3, "uoss", "x");
    assert_eq!(Head::of(&answer[..FIXED]).unwrap().signal(&answer, "JobRemoved", "uoss"), None);
}

#[test]
fn properties_of_all_types_are_read() {
    let message = with_body(RETURN, 3, "a{sv}", &properties());
    let read = read_properties(&message, &ALL).unwrap();
    assert_eq!((read["MainPID"].number(), read["Nice"].number()), (17, -5));
    assert_eq!(read["Since"].number(), u64::MAX.into());
    assert_eq!((read["Hooks"].list().len(), read["Unit"].text().as_str()), (0, "x"));
    assert_eq!(read["Invocation"].list(), [Value::Number(0xab), Value::Number(1)]);
    // What is not wanted is gone past, whatever its type.
    for name in ALL {
        let alone = read_properties(&message, &[name]).unwrap();
        assert_eq!(alone, Properties::from([(name.to_owned(), read[name].clone())]), "{name}");
    }
    assert_eq!(read_properties(&message, &[]).unwrap(), Properties::new());
}

#[test]
fn a_message_that_is_cut_or_damaged_is_refused_and_never_more() {
    let whole = with_body(RETURN, 3, "a{sv}", &properties());
    for length in 0..whole.len() {
        assert_eq!(read(&whole[..length], "a{sv}"), None, "{length}");
        assert_eq!(read_properties(&whole[..length], &["Unit"]), None, "{length}");
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        let _ = read(&damaged, "a{sv}");
        let _ = read_properties(&damaged, &["Unit"]);
    }
    for (signature, body) in [("a()", [8, 0, 0, 0, 0, 0, 0, 0]), ("a", [0; 8]), ("(", [0; 8]), ("", [0; 8])] {
        assert_eq!(read(&with_body(RETURN, 3, signature, &body), signature), None, "{signature}");
    }
    let endless = [8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(read(&with_body(RETURN, 3, "a()", &endless), "a()"), None);
    let deep = "a".repeat(200) + "y";
    assert_eq!(read(&with_body(RETURN, 3, &deep, &[0; 8]), &deep), None);
}

#[test]
fn a_call_is_a_message_with_its_arguments() {
    let body = Body::default().texts(&[]).texts(&["a*".to_owned(), "b".to_owned()]);
    let call = call(3, "/x", "x.y", "Z", &body);
    let head = Head::of(&call[..FIXED]).unwrap();
    assert_eq!(head.length(), call.len());
    for (field, text) in [(PATH, "/x"), (INTERFACE, "x.y"), (MEMBER, "Z"), (SIGNATURE, "asas")] {
        assert_eq!(head.field(&call, field).unwrap().text(), text);
    }
    let mut reader = Reader { bytes: &call[head.before_the_body()..], at: 0 };
    let mut signature = b"asas".as_slice();
    assert_eq!(reader.value(&mut signature, 0).unwrap().list().len(), 0);
    let patterns = reader.value(&mut signature, 0).unwrap();
    assert_eq!(patterns.list().iter().map(Value::text).collect::<Vec<_>>(), ["a*", "b"]);
}
