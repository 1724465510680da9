//! Asks a database server in its own protocol whether it takes requests: a server that is still in
//! recovery, or loads its data, has its port open, too. Sends no password, and nothing of a secret.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::observation::{Bad, bad};
use crate::facts::Protocol;
use crate::fault::Fault;
use crate::plan::Probe;
use crate::secret::ForeignText;

/// What of an answer is read.
const LONGEST: usize = 16 << 10;
/// The user of Redis that may do nothing but PING, see the planner's `redis.rs`.
const REDIS: &[u8] = b"AUTH bootagent -\r\nPING\r\n";

/// The answer in a few words, or why it is not one of a server that is ready.
pub async fn ask(protocol: Protocol, address: SocketAddr) -> Result<String, Bad> {
    let asked = tokio::task::spawn_blocking(move || exchange(protocol, address));
    let cause = |cause: String| bad(Fault::HealthBadAnswer, format!("{address}: {cause}"));
    match asked.await {
        Ok(Ok(answer)) => Ok(format!("{address} answered {}", answer)),
        Ok(Err(why)) => Err(cause(why)),
        Err(error) => Err(cause(error.to_string())),
    }
}

fn exchange(protocol: Protocol, address: SocketAddr) -> Result<String, String> {
    let most = Probe::answer().duration();
    let io = |error: std::io::Error| format!("no answer in {}'s protocol: {error}", protocol.name());
    let mut connection = TcpStream::connect_timeout(&address, most).map_err(io)?;
    connection.set_read_timeout(Some(most)).and(connection.set_write_timeout(Some(most))).map_err(io)?;
    let question = match protocol {
        Protocol::Mongodb => hello(),
        Protocol::Postgresql => startup(),
        Protocol::Redis => REDIS.to_vec(),
    };
    connection.write_all(&question).map_err(io)?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = match protocol {
            Protocol::Mongodb => mongodb(&answer),
            Protocol::Postgresql => postgresql(&answer),
            Protocol::Redis => redis(&answer),
        };
        if let Some(result) = read {
            return result.map(|answer| format!("{answer} ({})", protocol.name()));
        }
        let more = connection.read(&mut part).map_err(io)?;
        if more == 0 || answer.len() + more > LONGEST {
            return Err(format!("it is not an answer in {}'s protocol", protocol.name()));
        }
        answer.extend_from_slice(&part[..more]);
    }
}

/// Text of the server for a message: it may contain anything.
fn shown(text: &[u8]) -> String {
    ForeignText::message(&String::from_utf8_lossy(text)).shown(&Default::default())
}

/// PostgreSQL's first message: protocol 3.0, a user and a database. The server answers by asking for the password.
fn startup() -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    body.extend_from_slice(b"user\0bootagent\0database\0postgres\0\0");
    let length = u32::try_from(body.len() + 4).unwrap_or_default();
    [length.to_be_bytes().to_vec(), body].concat()
}

/// The result, or `None` if more of the answer must be read. As pg_isready: each answer counts, but the error "the database
/// system is starting up".
fn postgresql(answer: &[u8]) -> Option<Result<String, String>> {
    const STARTING: &[u8] = b"57P03";
    let (kind, rest) = answer.split_first()?;
    let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
    let body = match (kind, length) {
        (b'R' | b'E', 4..LONGEST) => rest.get(4..length)?,
        _ => return Some(Err("it is not an answer in PostgreSQL's protocol".to_owned())),
    };
    if *kind == b'R' {
        return Some(Ok("ready".to_owned()));
    }
    let field = |name: u8| {
        let mut fields = body.split(|byte| *byte == 0);
        fields.find_map(|field| field.strip_prefix(&[name])).unwrap_or_default()
    };
    let message = shown(field(b'M'));
    Some(match field(b'C') == STARTING {
        true => Err(format!("the server answers \"{message}\"")),
        false => Ok(format!("\"{message}\"")),
    })
}

/// Two lines: that of AUTH, and that of PING.
fn redis(answer: &[u8]) -> Option<Result<String, String>> {
    let mut lines = answer.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\r\n"));
    let (auth, ping) = (lines.next()?, lines.next()?);
    Some(match (auth, ping) {
        (b"+OK\r\n", b"+PONG\r\n") => Ok("PONG".to_owned()),
        (b"+OK\r\n", refused) => Err(format!("the server answers \"{}\"", shown(refused.trim_ascii()))),
        (refused, _) => Err(format!("the server answers \"{}\"", shown(refused.trim_ascii()))),
    })
}

/// MongoDB's `hello` in an OP_MSG, which needs no login.
fn hello() -> Vec<u8> {
    const OP_MSG: i32 = 2013;
    let mut document = Vec::new();
    document.extend_from_slice(b"\x10hello\0\x01\0\0\0");
    document.extend_from_slice(b"\x02$db\0\x06\0\0\0admin\0\0");
    let length = |bytes: usize| i32::try_from(bytes).unwrap_or_default().to_le_bytes();
    let document = [&length(document.len() + 4)[..], &document].concat();
    // Flags, and one section with one document.
    let body = [&[0, 0, 0, 0, 0][..], &document].concat();
    let header = [length(body.len() + 16), 1_i32.to_le_bytes(), 0_i32.to_le_bytes(), OP_MSG.to_le_bytes()];
    [header.concat(), body].concat()
}

/// The answer's document must say `ok` and that the server takes writes.
fn mongodb(answer: &[u8]) -> Option<Result<String, String>> {
    const BEFORE_THE_DOCUMENT: usize = 21;
    let length = u32::from_le_bytes(answer.get(..4)?.try_into().ok()?) as usize;
    if !(BEFORE_THE_DOCUMENT + 5..LONGEST).contains(&length) {
        return Some(Err("it is not an answer in MongoDB's protocol".to_owned()));
    }
    let document = answer.get(..length)?.get(BEFORE_THE_DOCUMENT + 4..length - 1)?;
    let fields = fields(document);
    let is = |name: &str| fields.iter().any(|(field, is_true)| *field == name.as_bytes() && *is_true);
    Some(match (is("ok"), is("isWritablePrimary") || is("ismaster")) {
        (true, true) => Ok("ready".to_owned()),
        (true, false) => Err("the server answers that it takes no writes".to_owned()),
        (false, _) => Err("the server answers hello with an error".to_owned()),
    })
}

/// The top-level elements of a BSON document, each with whether it is true or 1. Ends at an element of an unknown type.
fn fields(mut rest: &[u8]) -> Vec<(&[u8], bool)> {
    let mut all = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        let Some(end) = after.iter().position(|byte| *byte == 0) else { break };
        let (name, value) = (&after[..end], &after[end + 1..]);
        let counted = || Some(u32::from_le_bytes(value.get(..4)?.try_into().ok()?) as usize);
        let length = match kind {
            0x01 | 0x09 | 0x11 | 0x12 => Some(8),
            0x02 => counted().and_then(|length| length.checked_add(4)),
            0x03 | 0x04 => counted(),
            0x05 => counted().and_then(|length| length.checked_add(5)),
            0x07 => Some(12),
            0x08 => Some(1),
            0x0a => Some(0),
            0x10 => Some(4),
            _ => None,
        };
        let Some(value_bytes) = length.and_then(|length| value.get(..length)) else { break };
        let is_true = match kind {
            0x01 => value_bytes == 1_f64.to_le_bytes(),
            0x08 => value_bytes == [1],
            0x10 => value_bytes == 1_i32.to_le_bytes(),
            0x12 => value_bytes == 1_i64.to_le_bytes(),
            _ => false,
        };
        all.push((name, is_true));
        rest = &value[value_bytes.len()..];
    }
    all
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What a server gets, and what is made of its answer.
    async fn asked(protocol: Protocol, answer: &'static [u8]) -> (Vec<u8>, Result<String, String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut question = vec![0; 4096];
            let length = connection.read(&mut question).unwrap();
            // In two parts, as a network may send it.
            let (first, second) = answer.split_at(answer.len() / 2);
            connection.write_all(first).unwrap();
            connection.write_all(second).unwrap();
            question.truncate(length);
            question
        });
        let result = ask(protocol, address).await.map_err(|bad| bad.cause.shown(&Default::default()));
        (server.join().unwrap(), result)
    }

    #[tokio::test]
    async fn redis_is_ready_if_it_answers_pong() {
        let (question, answer) = asked(Protocol::Redis, b"+OK\r\n+PONG\r\n").await;
        assert_eq!(question, b"AUTH bootagent -\r\nPING\r\n");
        assert!(answer.unwrap().ends_with("answered PONG (Redis)"));
        for (answer, says) in [
            (&b"+OK\r\n-LOADING Redis is loading the dataset in memory\r\n"[..], "LOADING"),
            (b"-ERR wrong number\r\n-NOAUTH Authentication required.\r\n", "wrong number"),
            (b"HTTP/1.1 200 OK\r\nServer: x\r\n", "HTTP"),
            (b"", "not an answer in Redis's protocol"),
        ] {
            let cause = asked(Protocol::Redis, answer).await.1.unwrap_err();
            assert!(cause.contains(says), "{cause}");
        }
    }

    /// An ErrorResponse.
    fn refusal(code: &str, message: &str) -> &'static [u8] {
        let body = format!("SFATAL\0C{code}\0M{message}\0\0").into_bytes();
        let length = (body.len() as u32 + 4).to_be_bytes();
        Box::leak([b"E".to_vec(), length.to_vec(), body].concat().into_boxed_slice())
    }

    #[tokio::test]
    async fn postgresql_is_ready_if_it_asks_for_a_password() {
        let (question, answer) = asked(Protocol::Postgresql, b"R\0\0\0\x17\0\0\0\nSCRAM-SHA-256\0\0").await;
        assert_eq!(question.len(), question[3] as usize);
        assert!(answer.unwrap().contains("answered ready"));
        let starting = refusal("57P03", "the database system is starting up");
        let cause = asked(Protocol::Postgresql, starting).await.1.unwrap_err();
        assert!(cause.contains("is starting up"), "{cause}");
        let full = refusal("53300", "sorry, too many clients");
        assert!(asked(Protocol::Postgresql, full).await.1.unwrap().contains("too many clients"));
        let cause = asked(Protocol::Postgresql, b"HTTP/1.1 400\r\n").await.1.unwrap_err();
        assert!(cause.contains("not an answer in PostgreSQL's protocol"), "{cause}");
    }

    /// An OP_MSG with a document of these elements.
    fn message(elements: &[u8]) -> &'static [u8] {
        let document = [&((elements.len() + 5) as i32).to_le_bytes()[..], elements, &[0]].concat();
        let header = [(21 + document.len()) as i32, 7, 1, 2013].map(i32::to_le_bytes).concat();
        Box::leak([header, vec![0; 5], document].concat().into_boxed_slice())
    }

    #[tokio::test]
    async fn mongodb_is_ready_if_it_takes_writes() {
        let ready = message(
            b"\x03topologyVersion\0\x05\0\0\0\0\x08isWritablePrimary\0\x01\x01ok\0\0\0\0\0\0\0\xf0\x3f",
        );
        let (question, answer) = asked(Protocol::Mongodb, ready).await;
        assert_eq!(question.len(), question[0] as usize);
        assert!(answer.unwrap().contains("answered ready"));
        let secondary = message(b"\x08isWritablePrimary\0\0\x10ok\0\x01\0\0\0");
        assert!(asked(Protocol::Mongodb, secondary).await.1.unwrap_err().contains("takes no writes"));
        let cut = message(b"\x02x\0\xff\xff\xff\xff");
        assert!(asked(Protocol::Mongodb, cut).await.1.unwrap_err().contains("an error"));
        assert!(asked(Protocol::Mongodb, b"HTTP/1.1 400\r\n").await.1.is_err());
    }
}
