//! The proxy, in a child process: an HTTP proxy for CONNECT alone. To the hosts that the policy names it passes on GET and
//! HEAD, with their token; so a script can read packages, and can neither read a token nor publish with it.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};
use ureq::Agent;
use ureq::http::{self as web_http, Method};

use super::authority::Authority;
use super::http::{Request, answer, head, is_below, parse};
use super::request::{Listening, Login, RegistriesRequest, split};
use super::{peer, tunnel};
use crate::error::{Coded, Result};
use crate::machine::web::agent::agent;

/// The child role.
pub const ROLE: &str = "registries";

/// Package managers open up to 64 connections at once.
const MOST: usize = 256;
/// Connections whose user is being looked up. Those of other users stay among them, and take no place of the build user's.
const MOST_UNKNOWN: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);
const USER_AGENT: &str = concat!("bootagent/", env!("CARGO_PKG_VERSION"));

/// Headers of a request that reach the registry, beside those that begin with `npm-` or `pacote-`. Others could change what a
/// GET does there (`X-HTTP-Method-Override`).
const ASKED: [&str; 8] = [
    "accept",
    "accept-encoding",
    "cache-control",
    "if-modified-since",
    "if-none-match",
    "pragma",
    "range",
    "user-agent",
];

/// Headers of an answer that stay here: those about one connection, and a session, with which a script could ask the registry
/// itself.
const OWN: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "set-cookie",
    "set-cookie2",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

struct Proxy {
    request: RegistriesRequest,
    authority: Authority,
    agent: Agent,
    open: Arc<AtomicUsize>,
    unknown: Arc<AtomicUsize>,
}

/// Listens on a port that the kernel chooses: no other program can have it. Returns where, with the certificate to trust, and
/// what serves from then on.
pub fn begin(request: RegistriesRequest) -> Result<(Listening, impl FnOnce() -> ExitCode)> {
    let doing = || "listening on a port of 127.0.0.1 for the installation".to_owned();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing(doing)?;
    let address = listener.local_addr().doing(doing)?;
    let authority = Authority::new(request.logins.iter().map(|login| login.host.as_str()))?;
    let agent = agent(&request.network, &request.timeouts, USER_AGENT)?;
    let certificate = authority.certificate.clone();
    let (open, unknown) = (Arc::default(), Arc::default());
    let proxy = Arc::new(Proxy { request, authority, agent, open, unknown });
    Ok((Listening { address, certificate }, move || proxy.serve(&listener)))
}

/// One more of what `of` counts, until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// None if there are `most` already.
    fn new(of: &Arc<AtomicUsize>, most: usize) -> Option<Counted> {
        let counted = Counted(Arc::clone(of));
        (of.fetch_add(1, Ordering::Relaxed) < most).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Proxy {
    /// Until the unit is stopped.
    fn serve(self: Arc<Self>, listener: &TcpListener) -> ExitCode {
        for stream in listener.incoming().flatten() {
            // The kernel's table is long on a busy machine: the next connection does not wait until it is read.
            let unknown = loop {
                match Counted::new(&self.unknown, MOST_UNKNOWN) {
                    Some(counted) => break counted,
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            };
            let proxy = Arc::clone(&self);
            let _ = std::thread::Builder::new().spawn(move || proxy.admit(stream, unknown));
        }
        ExitCode::FAILURE
    }

    /// Serves the build user. The client sees what went wrong; there is no log that it could fill.
    fn admit(&self, stream: TcpStream, unknown: Counted) {
        if !peer::is_of(self.request.uid, &stream) {
            return;
        }
        drop(unknown);
        let Some(_open) = Counted::new(&self.open, MOST) else { return };
        let _ = self.handle(stream);
    }

    fn handle(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        client.set_write_timeout(Some(PATIENCE))?;
        client.set_nodelay(true)?;
        let Some(request) = parse(&head(&mut client)?) else { return answer(&mut client, 400, "not HTTP") };
        let target = request.target.as_str();
        let Some((host, port)) = split(target).filter(|_| request.method == "CONNECT") else {
            return answer(&mut client, 405, "bootagent's proxy is for https only");
        };
        let host = host.to_ascii_lowercase();
        if self.request.logins.iter().any(|login| login.host == host && login.port == port) {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            return self.registry(client, &host, port);
        }
        match tunnel::connect(target, &host, &self.request.network, &self.request.timeouts) {
            Ok(server) => {
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
                tunnel::join(client, server)
            }
            Err(cause) => answer(&mut client, 502, &format!("{host} is not reached: {cause}")),
        }
    }

    /// Answers one request for a registry.
    fn registry(&self, client: TcpStream, host: &str, port: u16) -> io::Result<()> {
        let Some(config) = self.authority.servers.get(host) else { return Ok(()) };
        let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let mut client = StreamOwned::new(connection, client);
        let request = parse(&head(&mut client)?);
        match request {
            Some(request) => self.pass_on(&mut client, &request, host, port)?,
            None => answer(&mut client, 400, "not HTTP")?,
        }
        client.conn.send_close_notify();
        client.flush()
    }

    fn pass_on(&self, client: &mut impl Write, request: &Request, host: &str, port: u16) -> io::Result<()> {
        let method = match request.method.as_str() {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            _ => return answer(client, 405, "bootagent's proxy reads packages and publishes none"),
        };
        let is_head = method == Method::HEAD;
        let Some(login) = self.login(&request.target, host, port) else {
            return answer(client, 400, "the path could be read as another one");
        };
        let mut outgoing = web_http::Request::builder()
            .method(method)
            .uri(format!("https://{host}:{port}{}", request.target));
        if port == 443 {
            outgoing = outgoing.uri(format!("https://{host}{}", request.target));
        }
        for (name, value) in request.headers.iter().filter(|(name, _)| is_passed_on(name)) {
            outgoing = outgoing.header(name.as_str(), value.as_slice());
        }
        if let Some(login) = login {
            outgoing = outgoing.header("authorization", login.authorization.expose());
        }
        let Ok(outgoing) = outgoing.body(()) else { return answer(client, 400, "not a usable address") };
        match self.agent.run(outgoing) {
            Ok(response) => respond(client, response, is_head),
            Err(error) => answer(client, 502, &format!("{host} is not reached: {error}")),
        }
    }

    /// The login for a path: the one with the longest path of its own. The outer `None`: the path is not clear.
    fn login(&self, target: &str, host: &str, port: u16) -> Option<Option<&Login>> {
        is_below(target, "")?;
        let of_host = self.request.logins.iter().filter(|login| login.host == host && login.port == port);
        let fitting = of_host.filter(|login| is_below(target, &login.path) == Some(true));
        Some(fitting.max_by_key(|login| login.path.len()))
    }
}

fn is_passed_on(name: &str) -> bool {
    ASKED.contains(&name) || name.starts_with("npm-") || name.starts_with("pacote-")
}

fn respond(
    client: &mut impl Write,
    response: web_http::Response<ureq::Body>,
    is_head: bool,
) -> io::Result<()> {
    let status = response.status();
    let mut text = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("-"));
    text.push_str("Connection: close\r\n");
    let mut bytes = text.into_bytes();
    let has_length = !response.headers().contains_key("transfer-encoding");
    for (name, value) in response.headers() {
        let is_length = name == "content-length" && has_length;
        if is_length || !OWN.contains(&name.as_str()) {
            bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    bytes.extend(b"\r\n");
    client.write_all(&bytes)?;
    if !is_head {
        io::copy(&mut response.into_body().into_reader(), client)?;
    }
    Ok(())
}
