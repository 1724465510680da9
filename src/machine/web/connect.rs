//! The client's side of a proxy's CONNECT: what is asked, and what the answer means. The caller connects to the
//! proxy; what follows the answer belongs to the server behind it.

use std::io::{self, Read, Write};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The limit for the proxy's answer, in bytes.
const ANSWER_BYTES: usize = 8 << 10;

/// Asks the proxy at the other end of `stream` for a tunnel to `target` (`host:port`). The error says why there is none.
pub async fn tunnel(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), target: &str) -> Result<(), String> {
    stream.write_all(request(target).as_bytes()).await.map_err(|error| error.to_string())?;
    let mut head = Head::default();
    while !head.is_complete()? {
        // Byte by byte, because what follows is the server's and must not be read here.
        head.0.push(stream.read_u8().await.map_err(no_answer)?);
    }
    head.judge(target)
}

/// The same for a stream that blocks.
pub fn tunnel_blocking(stream: &mut (impl Read + Write), target: &str) -> Result<(), String> {
    stream.write_all(request(target).as_bytes()).map_err(|error| error.to_string())?;
    let (mut head, mut byte) = (Head::default(), [0]);
    while !head.is_complete()? {
        stream.read_exact(&mut byte).map_err(no_answer)?;
        head.0.push(byte[0]);
    }
    head.judge(target)
}

fn request(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
}

fn no_answer(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the proxy closes the connection without an answer".to_owned(),
        _ => format!("the proxy does not answer: {error}"),
    }
}

/// The head of the proxy's answer, as far as it has come.
#[derive(Default)]
struct Head(Vec<u8>);

impl Head {
    fn is_complete(&self) -> Result<bool, String> {
        match self.0.ends_with(b"\r\n\r\n") {
            true => Ok(true),
            false if self.0.len() == ANSWER_BYTES => Err("the proxy's answer has no end".to_owned()),
            false => Ok(false),
        }
    }

    fn judge(&self, target: &str) -> Result<(), String> {
        match self.status() {
            Some(200..=299) => Ok(()),
            Some(status) => Err(format!("the proxy answers {status} to CONNECT {target}")),
            None => Err("the proxy's answer is not HTTP".to_owned()),
        }
    }

    fn status(&self) -> Option<u16> {
        let line = std::str::from_utf8(self.0.split(|byte| *byte == b'\r').next()?).ok()?;
        line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
    }
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

    /// A stream that has its answer already.
    struct Answered(io::Cursor<Vec<u8>>, Vec<u8>);

    impl Read for Answered {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            Read::read(&mut self.0, buffer)
        }
    }

    impl Write for Answered {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Write::write(&mut self.1, bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocking_stream_gets_the_same_tunnel() {
        let after = |answer: &str| {
            let mut stream = Answered(io::Cursor::new(answer.as_bytes().to_vec()), Vec::new());
            let outcome = tunnel_blocking(&mut stream, "npm.example:443");
            let (Answered(rest, request), at) = (&stream, stream.0.position() as usize);
            assert!(request.starts_with(b"CONNECT npm.example:443 HTTP/1.1\r\n"));
            outcome.map(|()| rest.get_ref()[at..].to_vec())
        };
        assert_eq!(after("HTTP/1.1 200 OK\r\n\r\n\x16\x03"), Ok(b"\x16\x03".to_vec()));
        for (answer, cause) in [
            ("HTTP/1.1 403 No\r\n\r\n", "answers 403 to CONNECT npm.example:443"),
            ("HTTP/1.1 200 OK\r\n", "without an answer"),
            (&"x".repeat(ANSWER_BYTES + 1), "no end"),
        ] {
            let error = after(answer).unwrap_err();
            assert!(error.contains(cause), "{answer}: {error}");
        }
    }
}
