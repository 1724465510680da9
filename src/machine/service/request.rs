//! One GET of a service on this machine, in the run's own thread: a health check sends dozens. Follows no redirect, and keeps nothing.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

const MOST_HEADERS: usize = 200;

pub struct Wanted<'a> {
    pub address: SocketAddr,
    /// With a query, if there is one.
    pub path: &'a str,
    /// In place of the address.
    pub host: Option<&'a str>,
    /// For the connection, the answer, and what is read of its body.
    pub most: Duration,
}

pub struct Answer {
    pub status: StatusCode,
    pub location: Option<Vec<u8>>,
    pub body: Vec<u8>,
}

pub enum Failed {
    /// Not done in time.
    Late,
    Otherwise(String),
}

/// Of the body, at most so many bytes are read.
pub async fn get(wanted: &Wanted<'_>, most: usize) -> Result<Answer, Failed> {
    match timeout(wanted.most, exchange(wanted, most)).await {
        Ok(result) => result.map_err(Failed::Otherwise),
        Err(_) => Err(Failed::Late),
    }
}

async fn exchange(wanted: &Wanted<'_>, most: usize) -> Result<Answer, String> {
    let request = Request::get(wanted.path)
        .header(HOST, wanted.host.map_or_else(|| host_of(wanted.address), str::to_owned))
        .header(USER_AGENT, "bootagent")
        .header(ACCEPT, "*/*")
        .body(Empty::<Bytes>::new())
        .map_err(|error| causes(&error))?;
    let stream = TcpStream::connect(wanted.address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MOST_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| causes(&error))?;
    let asking = pin!(async {
        let answer = sender.send_request(request).await.map_err(|error| causes(&error))?;
        read(answer, most).await
    });
    // The connection moves the bytes. It ends first if the service closes it, or does not speak HTTP.
    match select(asking, pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, asking)) => asking.await,
    }
}

/// The address as clients write it: without the usual port.
fn host_of(address: SocketAddr) -> String {
    let text = address.to_string();
    text.strip_suffix(":80").unwrap_or(&text).to_owned()
}

async fn read(mut answer: Response<Incoming>, most: usize) -> Result<Answer, String> {
    let mut body = Vec::new();
    while body.len() < most
        && let Some(frame) = answer.body_mut().frame().await
    {
        let data = frame.map_err(|error| causes(&error))?.into_data().unwrap_or_default();
        body.extend_from_slice(data.get(..most - body.len()).unwrap_or(&data));
    }
    let location = answer.headers().get(LOCATION).map(|value| value.as_bytes().to_vec());
    Ok(Answer { status: answer.status(), location, body })
}

/// The messages of an error and of its sources.
fn causes(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |cause| cause.source());
    sources.fold(error.to_string(), |all, cause| format!("{all}: {cause}"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What is made of an answer of these bytes, after which the server closes the connection if it `ends`.
    async fn answered(bytes: &'static [u8], ends: bool, most: usize) -> (Result<Answer, Failed>, String) {
        asked(bytes, ends, most, Some("shop.test:8443")).await
    }

    async fn asked(
        bytes: &'static [u8],
        ends: bool,
        most: usize,
        host: Option<&str>,
    ) -> (Result<Answer, Failed>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let open = (!ends).then_some(stream);
            (String::from_utf8_lossy(&asked[..length]).into_owned(), open)
        });
        let wanted = Wanted { address, path: "/health?a=b", host, most: Duration::from_millis(500) };
        let answer = get(&wanted, most).await;
        (answer, serving.await.unwrap().0)
    }

    async fn failed(bytes: &'static [u8], ends: bool, most: usize) -> String {
        match answered(bytes, ends, most).await.0 {
            Ok(answer) => panic!("{}", answer.status),
            Err(Failed::Late) => "late".to_owned(),
            Err(Failed::Otherwise(cause)) => cause,
        }
    }

    #[tokio::test]
    async fn status_location_and_the_first_bytes_of_the_body_are_read() {
        let bytes = b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 5\r\n\r\nhello";
        for (most, body) in [(0, ""), (3, "hel"), (9, "hello")] {
            let (answer, asked) = answered(bytes, false, most).await;
            let Ok(answer) = answer else { panic!("no answer") };
            assert_eq!(
                (answer.status.as_u16(), answer.location.as_deref()),
                (302, Some(b"/login".as_slice()))
            );
            assert_eq!(answer.body, body.as_bytes());
            assert!(asked.starts_with("GET /health?a=b HTTP/1.1\r\n"), "{asked}");
            let hosts: Vec<&str> = asked.lines().filter(|line| line.starts_with("host:")).collect();
            assert_eq!(hosts, ["host: shop.test:8443"], "{asked}");
        }
    }

    #[tokio::test]
    async fn without_a_host_the_address_is_named() {
        let (answer, asked) = asked(b"HTTP/1.1 204 x\r\n\r\n", false, 0, None).await;
        assert!(answer.is_ok_and(|answer| answer.status.as_u16() == 204));
        assert!(asked.contains("\r\nhost: 127.0.0.1:"), "{asked}");
        let of = |text: &str| host_of(text.parse().unwrap());
        assert_eq!(
            (of("[::1]:3000"), of("[::1]:80"), of("10.0.0.7:80")),
            ("[::1]:3000".to_owned(), "[::1]".to_owned(), "10.0.0.7".to_owned())
        );
    }

    #[tokio::test]
    async fn a_body_without_a_length_ends_with_the_connection() {
        let (answer, _) = answered(b"HTTP/1.0 200 OK\r\n\r\nhello", true, 9).await;
        assert!(answer.is_ok_and(|answer| answer.body == b"hello"));
    }

    #[tokio::test]
    async fn silence_a_closed_connection_and_another_protocol_are_failures() {
        assert_eq!(failed(b"", false, 0).await, "late");
        assert_eq!(failed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", false, 9).await, "late");
        assert!(failed(b"", true, 0).await.contains("closed"));
        assert!(failed(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", true, 0).await.contains("invalid HTTP version"));
        let closed = SocketAddr::from(([127, 0, 0, 1], 9));
        let wanted = Wanted { address: closed, path: "/", host: None, most: Duration::from_secs(5) };
        assert!(matches!(get(&wanted, 0).await, Err(Failed::Otherwise(cause)) if cause.contains("refused")));
    }
}
