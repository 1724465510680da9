//! The little of HTTP/1.1 that the proxy needs: heads of requests, and short answers.

use std::io::{self, Read, Write};

/// In bytes. npm's requests have some hundred.
const LONGEST_HEAD: usize = 32 << 10;
const MOST_HEADERS: usize = 64;

/// A request without a body.
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The bytes up to the end of a head, and no more: what follows belongs to another protocol.
pub fn head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == LONGEST_HEAD {
            return Err(io::Error::other("the head of the request has no end"));
        }
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

pub fn parse(head: &[u8]) -> Option<Request> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    if !request.parse(head).ok()?.is_complete() {
        return None;
    }
    let headers =
        request.headers.iter().map(|header| (header.name.to_ascii_lowercase(), header.value.to_vec()));
    Some(Request {
        method: request.method?.to_owned(),
        target: request.path?.to_owned(),
        headers: headers.collect(),
    })
}

/// Whether a path is below `prefix` (`""` for all paths). `None` if servers could read it as another path.
pub fn is_below(target: &str, prefix: &str) -> Option<bool> {
    let path = target.split('?').next().unwrap_or_default();
    // `;`: servers in Java drop a segment's parameters before they resolve `..`.
    if !path.starts_with('/') || path.contains(['#', ';']) || !path.is_ascii() {
        return None;
    }
    let decoded = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    let is_plain = |part: &str| !matches!(part, "." | "..");
    // A percent sign that is itself encoded could be decoded twice.
    if ["%25", "%3b", "%00"].iter().any(|code| decoded.contains(code))
        || !decoded.split(['/', '\\']).all(is_plain)
    {
        return None;
    }
    let rest = path.strip_prefix(prefix);
    Some(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// An answer of the proxy itself. `reason` becomes the reason phrase, which package managers print.
pub fn answer(stream: &mut impl Write, status: u16, reason: &str) -> io::Result<()> {
    let reason: String = reason.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(300).collect();
    let length = reason.len() + 1;
    let head =
        format!("HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n{reason}\n").as_bytes())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_a_prefix_or_could_be_read_as_another_one() {
        for (target, prefix, below) in [
            ("/@acme%2fbrick", "", Some(true)),
            ("/a/b?x=/../c", "/a", Some(true)),
            ("/a", "/a", Some(true)),
            ("/ab", "/a", Some(false)),
            ("/", "/a", Some(false)),
            ("/a/../b", "/a", None),
            ("/a/%2e%2e/b", "/a", None),
            ("/a/.%2E%2fb", "/a", None),
            ("/a/..%5cb", "/a", None),
            ("/a/%252e%252e/b", "/a", None),
            ("/a/..;/b", "/a", None),
            ("/a/..%3Bx/b", "/a", None),
            ("/a/..%00/b", "/a", None),
            ("https://other/a", "/a", None),
            ("", "", None),
        ] {
            assert_eq!(is_below(target, prefix), below, "{target}");
        }
    }

    #[test]
    fn a_head_is_read_to_its_end_and_no_further() {
        let text = b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nrest";
        let mut stream = &text[..];
        let request = parse(&head(&mut stream).unwrap()).unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), ("CONNECT", "a:443"));
        assert_eq!((request.headers.len(), stream), (1, &b"rest"[..]));
        assert!(head(&mut &b"GET / HTTP/1.1\r\n"[..]).is_err());
        assert!(head(&mut vec![b'x'; LONGEST_HEAD + 1].as_slice()).is_err());
        for bad in ["\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n"] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
