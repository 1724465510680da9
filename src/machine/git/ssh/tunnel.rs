//! Connects to the ssh server, directly or through the policy's proxy with HTTP CONNECT.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Session;
use crate::error::{Error, Result};
use crate::fault::Fault;

/// The limit for the proxy's answer.
const ANSWER_BYTES: usize = 8 << 10;

/// A TCP connection that reaches the ssh server. Errors name the proxy if there is one.
pub async fn connect(session: &Session) -> Result<TcpStream> {
    let (host, port) = (session.address.host(), session.address.port());
    let target = format!("{host}:{port}");
    let Some(proxy) = session.network.proxy_for(host) else {
        return connect_to(&target).await.map_err(|cause| unreachable(session, &cause));
    };
    let through = async {
        let mut stream = connect_to(proxy.authority()).await?;
        tunnel(&mut stream, &target).await.map(|()| stream)
    };
    through.await.map_err(|cause| unreachable(session, &format!("{cause} (by the proxy {proxy})")))
}

fn unreachable(session: &Session, cause: &str) -> Error {
    session.exchange.fault(Fault::GitUnreachable, cause)
}

async fn connect_to(at: &str) -> Result<TcpStream, String> {
    let addresses = tokio::net::lookup_host(at).await;
    let addresses: Vec<_> = addresses.map_err(|_| "no address for this host name (DNS)")?.collect();
    TcpStream::connect(&addresses[..]).await.map_err(|error| error.to_string())
}

async fn tunnel(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), target: &str) -> Result<(), String> {
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == ANSWER_BYTES {
            return Err("the proxy's answer has no end".to_owned());
        }
        // Byte by byte, because what follows is the ssh server's and must not be read here.
        head.push(stream.read_u8().await.map_err(|_| "the proxy closes the connection without an answer")?);
    }
    match status(&head) {
        Some(200..=299) => Ok(()),
        Some(status) => Err(format!("the proxy answers {status} to CONNECT {target}")),
        None => Err("the proxy's answer is not HTTP".to_owned()),
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The result for this answer of the proxy, the request that the proxy got, and what is left for the ssh client.
    async fn tunnel_after(answer: &[u8]) -> (Result<(), String>, String, Vec<u8>) {
        let (mut client, mut proxy) = tokio::io::duplex(64 << 10);
        proxy.write_all(answer).await.unwrap();
        let outcome = tunnel(&mut client, "git.example:22").await;
        let mut request = vec![0; 1024];
        let read = proxy.read(&mut request).await.unwrap();
        drop(proxy);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        (outcome, String::from_utf8_lossy(&request[..read]).into_owned(), rest)
    }

    #[tokio::test]
    async fn a_tunnel_leaves_every_byte_of_the_ssh_server() {
        for answer in ["HTTP/1.1 200 Connection established\r\n\r\n", "HTTP/1.0 200 OK\r\nVia: x\r\n\r\n"] {
            let (outcome, request, rest) = tunnel_after(format!("{answer}SSH-2.0-x\r\n").as_bytes()).await;
            assert_eq!(outcome, Ok(()));
            assert_eq!(request, "CONNECT git.example:22 HTTP/1.1\r\nHost: git.example:22\r\n\r\n");
            assert_eq!(rest, b"SSH-2.0-x\r\n");
        }
    }

    #[tokio::test]
    async fn only_a_success_status_is_a_tunnel_and_a_refusal_is_named() {
        for (answer, cause) in [
            ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "answers 403"),
            ("HTTP/1.1 407 Who\x1b[2J\r\n\r\n", "answers 407 to CONNECT git.example:22"),
            ("HTTP/1.1 100 Continue\r\n\r\n", "answers 100"),
            ("HTTP/2 200\r\n\r\n", "not HTTP"),
            ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "not HTTP"),
            ("HTTP/1.1 \u{fc}\r\n\r\n", "not HTTP"),
        ] {
            let error = tunnel_after(answer.as_bytes()).await.0.unwrap_err();
            assert!(error.contains(cause) && !error.contains('\x1b'), "{answer:?}: {error}");
        }
        let endless = "x".repeat(ANSWER_BYTES + 1);
        // Without the limit this would wait for ever.
        let ended = tokio::time::timeout(Duration::from_secs(10), tunnel_after(endless.as_bytes())).await;
        assert!(ended.unwrap().0.unwrap_err().contains("no end"));
        let (mut client, proxy) = tokio::io::duplex(64);
        drop(proxy);
        assert!(tunnel(&mut client, "git.example:22").await.is_err());
    }
}
