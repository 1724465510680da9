//! A git server on 127.0.0.1: the real `git http-backend` behind a small HTTP(S) server that can go wrong.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::certificates::Certificates;

/// What goes wrong. The numbers are bytes of the answer that holds the pack.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fault {
    #[default]
    None,
    /// Every request is answered with this status.
    Status(u16),
    /// Every advertisement is answered with a redirect; `{tail}` is the path and query that was asked for.
    Redirect(String),
    /// Paths that begin with the first part are sent on to the second.
    Moved(&'static str, &'static str),
    /// Nothing more is sent, the connection stays open.
    StallAfter(usize),
    /// The connection is closed.
    EndAfter(usize),
    /// Accepted, read, never answered.
    Mute,
    /// The right type, the wrong bytes.
    GarbageAdvertisement,
    GarbagePack,
    /// The real server's answer in the protocol's second version, which no client asked for.
    VersionTwo,
    /// A capability that the real server's advertisement does not name.
    Without(&'static str),
    /// A web page where git was expected.
    WebPage,
    /// Basic authentication is wanted: `user:password` in base64.
    Guarded(&'static str),
    /// GitHub's API answers with this status and body, by a clock that is so many seconds ahead; git itself
    /// wants the token `APP_TOKEN`.
    App(u16, &'static str, i64),
    /// Every request is answered with this status, type and body; `{authorization}` is what was sent as such.
    Says(u16, &'static str, &'static str),
    /// Between the first advertisement and what is asked next, `main` is moved to where `other` is.
    ForcePushed,
}

/// Of the length that GitHub's tokens have by now.
pub const APP_TOKEN: &str = concat!(
    "ghs_123456_canary-6f1c2a90.",
    "eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9",
    "eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9",
    "eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9",
    "eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9eyJhbGciOiJSUzI1NiJ9",
);

#[derive(Clone, Debug)]
pub struct Asked {
    pub line: String,
    pub body: Vec<u8>,
    pub headers: HashMap<String, String>,
}

struct State {
    root: PathBuf,
    fault: Mutex<Fault>,
    asked: Mutex<Vec<Asked>>,
    stalling: AtomicBool,
    gone: AtomicBool,
}

pub struct GitServer {
    pub url: String,
    pub port: u16,
    state: Arc<State>,
}

impl GitServer {
    pub fn http(root: &Path, fault: Fault) -> GitServer {
        GitServer::start(root, fault, None)
    }

    pub fn https(root: &Path, fault: Fault, certificates: &Certificates) -> GitServer {
        GitServer::start(root, fault, Some(certificates.server()))
    }

    fn start(root: &Path, fault: Fault, tls: Option<Arc<rustls::ServerConfig>>) -> GitServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            root: root.to_owned(),
            fault: Mutex::new(fault),
            asked: Mutex::new(Vec::new()),
            stalling: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                // A client that goes away is what half of the tests are about.
                std::thread::spawn(move || drop(connection(stream, tls, &state)));
            }
        });
        GitServer { url: format!("{scheme}://127.0.0.1:{port}"), port, state }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// Whether a client is being kept waiting.
    pub fn is_stalling(&self) -> bool {
        self.state.stalling.load(Ordering::SeqCst)
    }

    /// Whether the client of a stalled answer has closed its connection.
    pub fn client_is_gone(&self) -> bool {
        self.state.gone.load(Ordering::SeqCst)
    }
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

fn connection(
    stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    state: &State,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let wire: Box<dyn Wire> = match tls {
        Some(config) => {
            let tls = rustls::ServerConnection::new(config).map_err(std::io::Error::other)?;
            Box::new(rustls::StreamOwned::new(tls, stream))
        }
        None => Box::new(stream),
    };
    let mut wire = BufReader::new(wire);
    while let Some((asked, body)) = request(&mut wire)? {
        state.asked.lock().unwrap().push(asked.clone());
        answer(&asked, &body, &mut wire, state)?;
    }
    Ok(())
}

fn request(wire: &mut impl BufRead) -> std::io::Result<Option<(Asked, Vec<u8>)>> {
    let mut line = String::new();
    if wire.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        wire.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    wire.read_exact(&mut body)?;
    Ok(Some((Asked { line: line.trim_end().to_owned(), body: body.clone(), headers }, body)))
}

fn answer(
    asked: &Asked,
    body: &[u8],
    wire: &mut BufReader<Box<dyn Wire>>,
    state: &State,
) -> std::io::Result<()> {
    let target = asked.line.split(' ').nth(1).unwrap_or_default().to_owned();
    let is_pack = target.ends_with("/git-upload-pack");
    let fault = state.fault.lock().unwrap().clone();
    match fault {
        Fault::Status(status) => return plain(wire, status, "text/plain", b"no", ""),
        Fault::Redirect(to) => {
            let header = format!("Location: {}\r\n", to.replace("{tail}", &target));
            return plain(wire, 302, "text/plain", b"", &header);
        }
        Fault::Moved(from, to) => {
            if let Some(rest) = target.strip_prefix(from) {
                return plain(wire, 301, "text/plain", b"", &format!("Location: {to}{rest}\r\n"));
            }
        }
        Fault::Guarded(pair) if asked.headers.get("authorization") != Some(&format!("Basic {pair}")) => {
            return plain(wire, 401, "text/plain", b"who?", "WWW-Authenticate: Basic realm=\"git\"\r\n");
        }
        Fault::App(status, body, ahead) => {
            if target.starts_with("/api/v3/") {
                let date = aws_smithy_types::DateTime::from_secs(bootagent::machine::now() as i64 + ahead);
                let date = date.fmt(aws_smithy_types::date_time::Format::HttpDate).unwrap();
                return plain(
                    wire,
                    status,
                    "application/json",
                    body.as_bytes(),
                    &format!("Date: {date}\r\n"),
                );
            }
            let wanted = aws_smithy_types::base64::encode(format!("x-access-token:{APP_TOKEN}"));
            if asked.headers.get("authorization") != Some(&format!("Basic {wanted}")) {
                return plain(wire, 401, "text/plain", b"who?", "");
            }
        }
        Fault::Says(status, kind, body) => {
            let known = asked.headers.get("authorization").map_or("", |sent| sent.as_str());
            let [kind, body] = [kind, body].map(|text| text.replace("{authorization}", known));
            let header = format!("Location: {}/x\r\n", body.lines().next().unwrap_or_default());
            return plain(wire, status, &kind, body.as_bytes(), &header);
        }
        Fault::Mute => return wait_for_the_client_to_leave(wire, state),
        Fault::WebPage => return plain(wire, 200, "text/html; charset=utf-8", b"<html>welcome</html>", ""),
        Fault::GarbageAdvertisement => {
            return plain(wire, 200, "application/x-git-upload-pack-advertisement", b"zzzzgarbage\n", "");
        }
        _ => {}
    }
    let first_post = is_pack
        && state.asked.lock().unwrap().iter().filter(|asked| asked.line.contains("POST")).count() == 1;
    if fault == Fault::ForcePushed && first_post {
        let moved = Command::new("git")
            .args(["update-ref", "refs/heads/main", "refs/heads/other"])
            .current_dir(state.root.join("auth.git"))
            .status();
        assert!(moved.unwrap().success());
    }
    let protocol = if fault == Fault::VersionTwo { "version=2" } else { "" };
    let (head, mut content) = backend(&target, asked, body, &state.root, protocol);
    if let (Fault::Without(capability), false) = (&fault, is_pack) {
        content = without(&content, capability);
    }
    let long = content.len() > 4096;
    if fault == Fault::GarbagePack && long {
        let middle = content.len() / 2;
        content[middle..middle + 64].fill(0xA5);
    }
    write!(wire.get_mut(), "{head}Content-Length: {}\r\n\r\n", content.len())?;
    match fault {
        Fault::StallAfter(bytes) if is_pack && long => {
            wire.get_mut().write_all(&content[..bytes])?;
            wait_for_the_client_to_leave(wire, state)
        }
        Fault::EndAfter(bytes) if is_pack && long => {
            wire.get_mut().write_all(&content[..bytes])?;
            wire.get_mut().flush()?;
            Err(std::io::Error::other("cut"))
        }
        _ => {
            wire.get_mut().write_all(&content)?;
            wire.get_mut().flush()
        }
    }
}

fn wait_for_the_client_to_leave(wire: &mut BufReader<Box<dyn Wire>>, state: &State) -> std::io::Result<()> {
    wire.get_mut().flush()?;
    state.stalling.store(true, Ordering::SeqCst);
    let left = wire.read(&mut [0]);
    state.gone.store(matches!(left, Ok(0) | Err(_)), Ordering::SeqCst);
    Err(std::io::Error::other("stalled"))
}

fn plain(
    wire: &mut BufReader<Box<dyn Wire>>,
    status: u16,
    kind: &str,
    body: &[u8],
    headers: &str,
) -> std::io::Result<()> {
    let mut bytes = format!(
        "HTTP/1.1 {status} As Told\r\nContent-Type: {kind}\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    wire.get_mut().write_all(&bytes)?;
    wire.get_mut().flush()
}

/// An advertisement with as many other bytes in the capability's place: the lines keep their lengths.
fn without(advertisement: &[u8], capability: &str) -> Vec<u8> {
    let text: String = advertisement.iter().map(|byte| char::from(*byte)).collect();
    assert!(text.contains(capability), "{text}");
    text.replace(capability, &format!(" {}", "x".repeat(capability.len() - 1))).bytes().collect()
}

/// One CGI call of the real thing: the status line with its headers, and the body.
fn backend(target: &str, asked: &Asked, body: &[u8], root: &Path, protocol: &str) -> (String, Vec<u8>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let method = asked.line.split(' ').next().unwrap_or_default();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_PROTOCOL", protocol)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", "/nonexistent")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method)
        .env("CONTENT_TYPE", asked.headers.get("content-type").map_or("", String::as_str))
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git is installed");
    child.stdin.take().unwrap().write_all(body).unwrap();
    let out = child.wait_with_output().unwrap().stdout;
    let end = out.windows(4).position(|four| four == b"\r\n\r\n").expect("a CGI answer has headers");
    let headers = String::from_utf8(out[..end + 2].to_vec()).unwrap();
    let (status, others): (Vec<&str>, Vec<&str>) =
        headers.split_inclusive("\r\n").partition(|line| line.starts_with("Status: "));
    let status = status.first().map_or("200 OK", |line| line["Status: ".len()..].trim_end());
    (format!("HTTP/1.1 {status}\r\n{}", others.concat()), out[end + 4..].to_vec())
}
