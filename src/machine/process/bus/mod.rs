//! Talks to systemd on its own socket, as systemctl does for root: what `systemctl show` prints, and jobs of units (`job`), without a
//! program that has to start. That program costs about ten milliseconds of a processor each time. Every failure is an error of
//! which the caller makes nothing but a call of systemctl.

pub mod job;
mod wire;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use wire::{Body, Head};
pub use wire::{Properties, Value};

/// Only root may connect.
const SOCKET: &str = "/run/systemd/private";
/// In which systemd answers, unless it reads all units anew.
const PATIENCE: Duration = Duration::from_secs(5);
/// In bytes. The properties of a unit take about 20 KiB.
const LONGEST: usize = 4 << 20;

/// For longer than a health check waits between two looks. Not for much longer, because systemd sends its signals to every
/// connection, and holds in memory what is not read.
static SYSTEMD: Line = Line::new(SOCKET, Duration::from_millis(800));
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";

/// The wanted properties of each of these units, in their order, by the names that `systemctl show` prints. Each unit's are of one
/// moment.
pub async fn properties(units: &[String], wanted: &[&str]) -> io::Result<Vec<Properties>> {
    SYSTEMD
        .ask(async |bus| {
            let mut all = Vec::new();
            for unit in units {
                let path = format!("/org/freedesktop/systemd1/unit/{}", escaped(unit));
                // All interfaces of the object.
                let body = Body::default().text("");
                let reply = bus.call(&path, "org.freedesktop.DBus.Properties", "GetAll", &body).await?;
                all.push(reply.properties(wanted).ok_or_else(garbled)?);
            }
            Ok(all)
        })
        .await
}

/// The names of the loaded units that match one of the patterns (globs, as in systemctl(1)).
pub async fn names(patterns: &[String]) -> io::Result<Vec<String>> {
    SYSTEMD
        .ask(async |bus| {
            // In every state.
            let body = Body::default().texts(&[]).texts(patterns);
            let reply = bus.call(MANAGER_PATH, MANAGER, "ListUnitsByPatterns", &body).await?;
            let units = reply.content("a(ssssssouso)").ok_or_else(garbled)?;
            Ok(units.list().iter().filter_map(|unit| unit.list().first()).map(Value::text).collect())
        })
        .await
}

/// A socket, and a connection to it that is kept for the next question: systemd takes milliseconds to accept one.
struct Line {
    socket: &'static str,
    time: Duration,
    kept: Mutex<Option<Bus>>,
}

impl Line {
    const fn new(socket: &'static str, time: Duration) -> Line {
        Line { socket, time, kept: Mutex::const_new(None) }
    }

    /// Asks on the connection that is kept, else on a new one. One that failed is not kept.
    async fn ask<T>(&'static self, ask: impl AsyncFn(&mut Bus) -> io::Result<T>) -> io::Result<T> {
        in_time(PATIENCE, async || {
            let mut kept = self.kept.lock().await;
            if let Some(mut bus) = kept.take()
                && let Ok(answer) = ask(&mut bus).await
            {
                self.keep(&mut kept, bus);
                return Ok(answer);
            }
            let mut bus = Bus::open(self.socket).await?;
            let answer = ask(&mut bus).await?;
            self.keep(&mut kept, bus);
            Ok(answer)
        })
        .await
    }

    fn keep(&'static self, kept: &mut Option<Bus>, bus: Bus) {
        let last = bus.serial;
        *kept = Some(bus);
        tokio::spawn(async move {
            tokio::time::sleep(self.time).await;
            let mut kept = self.kept.lock().await;
            if kept.as_ref().is_some_and(|bus| bus.serial == last) {
                *kept = None;
            }
        });
    }
}

async fn in_time<T>(time: Duration, asking: impl AsyncFnOnce() -> io::Result<T>) -> io::Result<T> {
    timeout(time, asking()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A unit's name in the path of its object: every byte that is not a letter or digit is escaped, and a leading digit, too.
pub fn escaped(unit: &str) -> String {
    let escaped = unit.bytes().enumerate().map(|(at, byte)| match byte {
        b'0'..=b'9' if at > 0 => char::from(byte).to_string(),
        b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        other => format!("_{other:02x}"),
    });
    escaped.collect()
}

struct Bus {
    stream: BufReader<UnixStream>,
    serial: u32,
}

impl Bus {
    /// Connects, and says who this is. systemd believes the kernel, not the word.
    async fn open(socket: &str) -> io::Result<Bus> {
        let mut stream = BufReader::new(UnixStream::connect(socket).await?);
        let uid = nix::unistd::geteuid().to_string();
        let hexadecimal: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        stream.write_all(format!("\0AUTH EXTERNAL {hexadecimal}\r\nBEGIN\r\n").as_bytes()).await?;
        let mut line = Vec::new();
        (&mut stream).take(256).read_until(b'\n', &mut line).await?;
        match line.starts_with(b"OK ") && line.ends_with(b"\n") {
            true => Ok(Bus { stream, serial: 0 }),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// Calls a method, and returns what it answers.
    async fn call(&mut self, path: &str, interface: &str, member: &str, body: &Body) -> io::Result<Reply> {
        self.serial += 1;
        self.stream.write_all(&wire::call(self.serial, path, interface, member, body)).await?;
        loop {
            // What is not the answer is a signal, which systemd sends to everyone on this socket.
            let (head, message) = self.read().await?;
            if head.answers(&message, self.serial) {
                return Ok(Reply { head, message });
            }
        }
    }

    /// Waits for a signal of this name and these types whose values `fit`.
    async fn signal(
        &mut self,
        member: &str,
        types: &str,
        fit: impl Fn(&[Value]) -> bool,
    ) -> io::Result<Value> {
        loop {
            let (head, message) = self.read().await?;
            if let Some(values) = head.signal(&message, member, types)
                && fit(values.list())
            {
                return Ok(values);
            }
        }
    }

    /// The next message.
    async fn read(&mut self) -> io::Result<(Head, Vec<u8>)> {
        let mut message = Vec::with_capacity(wire::FIXED);
        self.read_up_to(&mut message, wire::FIXED).await?;
        let head = Head::of(&message).filter(|head| head.length() <= LONGEST).ok_or_else(garbled)?;
        message.reserve_exact(head.length().saturating_sub(wire::FIXED));
        self.read_up_to(&mut message, head.length()).await?;
        Ok((head, message))
    }

    /// Not by `read_exact`, for which a buffer must be filled with zeros first.
    async fn read_up_to(&mut self, message: &mut Vec<u8>, length: usize) -> io::Result<()> {
        while let Some(missing) = length.checked_sub(message.len()).filter(|missing| *missing > 0) {
            if (&mut self.stream).take(missing as u64).read_buf(message).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

struct Reply {
    head: Head,
    message: Vec<u8>,
}

impl Reply {
    fn content(&self, signature: &str) -> Option<Value> {
        self.head.content(&self.message, signature)
    }

    fn is_return(&self) -> bool {
        self.head.is_return()
    }

    fn properties(&self, wanted: &[&str]) -> Option<Properties> {
        self.head.properties(&self.message, wanted)
    }
}

fn garbled() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_names_are_escaped_for_d_bus() {
        assert_eq!(escaped("auth-service.service"), "auth_2dservice_2eservice");
        assert_eq!(escaped("2x.service"), "_32x_2eservice");
    }

    /// What a call gets from a server that answers with these messages.
    async fn called(greeting: &'static str, answer: Vec<u8>) -> io::Result<Value> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting.as_bytes()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said).await;
        });
        let calling = async || {
            let mut bus = Bus::open(path.to_str().unwrap()).await?;
            let reply = bus.call("/x", "x.y", "Z", &Body::default().text("")).await?;
            reply.content("s").ok_or_else(garbled)
        };
        let result = in_time(Duration::from_millis(500), calling).await;
        serving.abort();
        result
    }

    #[tokio::test]
    async fn the_answer_is_found_among_signals_and_a_refusal_is_an_error() {
        let signal = wire::tests::message(4, 0, "s", "late");
        let answer = wire::tests::message(2, 1, "s", "yes");
        let both = [signal, answer.clone()].concat();
        assert_eq!(called("OK 12ab\r\n", both).await.unwrap(), Value::Text("yes".to_owned()));
        for (greeting, answer) in [
            ("REJECTED EXTERNAL\r\n", answer.clone()),
            ("OK 12ab", answer.clone()),
            ("OK 12ab\r\n", wire::tests::message(3, 1, "s", "denied")),
            ("OK 12ab\r\n", wire::tests::message(2, 1, "o", "/other/type")),
            ("OK 12ab\r\n", vec![0xff; 64]),
        ] {
            assert!(called(greeting, answer).await.is_err(), "{greeting}");
        }
    }

    /// What is answered to these pauses, after each of which one question is asked, by a server that answers so many of them on
    /// each connection.
    async fn answered(answers: &'static [u32], kept: Duration, pauses: &[Duration]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let serving = tokio::spawn(async move {
            for (connection, count) in answers.iter().enumerate() {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(b"OK 12ab\r\n").await.unwrap();
                let mut said = Vec::new();
                for serial in 1..=*count {
                    // Each call has one Z; the greeting may arrive by itself.
                    while said.iter().filter(|byte| **byte == b'Z').count() < serial as usize {
                        if stream.read_buf(&mut said).await.unwrap() == 0 {
                            break;
                        }
                    }
                    let text = format!("{connection}.{serial}");
                    let _ = stream.write_all(&wire::tests::message(2, serial, "s", &text)).await;
                }
            }
        });
        let socket = path.to_str().unwrap().to_owned().leak();
        let line: &'static Line = Box::leak(Box::new(Line::new(socket, kept)));
        let mut all = Vec::new();
        for pause in pauses {
            tokio::time::sleep(*pause).await;
            let asking = line.ask(async |bus| {
                let reply = bus.call("/x", "x.y", "Z", &Body::default().text("")).await?;
                reply.content("s").ok_or_else(garbled)
            });
            all.push(asking.await.unwrap().text());
        }
        serving.abort();
        all
    }

    #[tokio::test]
    async fn a_connection_is_used_again_until_it_ends() {
        let long = Duration::from_secs(600);
        assert_eq!(answered(&[2, 1], long, &[Duration::ZERO; 3]).await, ["0.1", "0.2", "1.1"]);
    }

    #[tokio::test]
    async fn a_connection_is_not_kept_for_long() {
        let pauses = [Duration::ZERO, Duration::from_millis(300)];
        assert_eq!(answered(&[2, 1], Duration::from_millis(10), &pauses).await, ["0.1", "1.1"]);
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_is_refused_unread() {
        let answer = b"l\x02\0\x01\xff\xff\xff\x7f\x01\0\0\0\0\0\0\0".to_vec();
        let refused = called("OK 12ab\r\n", answer).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{refused}");
    }

    #[tokio::test]
    async fn a_silent_systemd_is_an_error() {
        let silent =
            in_time(Duration::from_millis(10), async || std::future::pending::<io::Result<()>>().await).await;
        assert_eq!(silent.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
