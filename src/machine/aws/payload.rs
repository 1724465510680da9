//! What a request sends: a text, or a file that is read while it is sent.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_sigv4::http_request::SignableBody;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

/// What is sent.
#[derive(Clone)]
pub enum Payload {
    Text(String),
    File(Sent),
}

impl Payload {
    pub fn signable(&self) -> SignableBody<'_> {
        match self {
            Payload::Text(text) => SignableBody::Bytes(text.as_bytes()),
            Payload::File(sent) => SignableBody::Precomputed(sent.sum.clone()),
        }
    }

    pub fn body(self) -> SdkBody {
        match self {
            Payload::Text(text) => SdkBody::from(text),
            Payload::File(sent) => SdkBody::retryable(move || SdkBody::from_body_1_x(sent.body())),
        }
    }
}

/// A file to send, with its checksum, which S3 compares with what arrives. It is opened once: an unprivileged child made it, and
/// could replace it by a link to a file that only root may read.
#[derive(Clone)]
pub struct Sent {
    file: Arc<File>,
    pub length: u64,
    /// SHA-256 in hexadecimal.
    pub sum: String,
}

impl Sent {
    /// Reads the whole file, which may have at most `most` bytes. For a thread that may block.
    pub fn of(path: &Path, most: u64) -> io::Result<Sent> {
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        let found = file.metadata()?;
        if !found.is_file() || found.len() > most {
            return Err(io::Error::other(format!("it is not a file of at most {most} bytes")));
        }
        let mut hash = Hash(Sha256::new());
        let length = io::copy(&mut io::Read::take(&file, found.len()), &mut hash)?;
        let sum = hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Sent { file: Arc::new(file), length, sum })
    }

    pub fn body(&self) -> FileBody {
        FileBody { file: self.file.clone(), at: 0, length: self.length }
    }
}

struct Hash(Sha256);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A request's body that is read from a file while it is sent. The file is local and was just written: a read takes no time that
/// a timer would notice.
pub struct FileBody {
    file: Arc<File>,
    at: u64,
    length: u64,
}

const CHUNK: u64 = 64 << 10;

impl FileBody {
    fn next(&mut self) -> io::Result<Bytes> {
        let mut chunk = vec![0; (self.length - self.at).min(CHUNK) as usize];
        self.file.read_exact_at(&mut chunk, self.at)?;
        self.at += chunk.len() as u64;
        Ok(chunk.into())
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready((self.at < self.length).then(|| self.next().map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length - self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_within_the_limit_is_sent_and_no_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), "abc").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let sent = Sent::of(&at("file"), 3).unwrap();
        assert_eq!(sent.sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        for (name, most) in [("link", 3), ("fifo", 3), ("file", 2), ("absent", 3)] {
            assert!(Sent::of(&at(name), most).is_err(), "{name}");
        }
        // What replaces it later is not sent.
        std::fs::rename(at("link"), at("file")).unwrap();
        let mut body = sent.body();
        assert_eq!(body.next().unwrap(), "abc");
        assert!(body.is_end_stream());
    }
}
