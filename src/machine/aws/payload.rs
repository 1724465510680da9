//! What a request sends: a text, or a file that is read while it is sent.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_sigv4::http_request::SignableBody;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
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

/// A file to send, with its checksum, which S3 compares with what arrives.
#[derive(Clone)]
pub struct Sent {
    path: PathBuf,
    pub length: u64,
    /// SHA-256 in hexadecimal.
    pub sum: String,
}

impl Sent {
    pub fn of(path: &Path) -> io::Result<Sent> {
        let mut hash = Hash(Sha256::new());
        let length = io::copy(&mut File::open(path)?, &mut hash)?;
        let sum = hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Sent { path: path.to_owned(), length, sum })
    }

    pub fn body(&self) -> FileBody {
        FileBody { file: File::open(&self.path), left: self.length }
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
    file: io::Result<File>,
    left: u64,
}

const CHUNK: u64 = 64 << 10;

impl FileBody {
    fn next(&mut self) -> io::Result<Bytes> {
        let file = self.file.as_mut().map_err(|error| io::Error::from(error.kind()))?;
        let mut chunk = vec![0; self.left.min(CHUNK) as usize];
        file.read_exact(&mut chunk)?;
        self.left -= chunk.len() as u64;
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
        Poll::Ready((self.left > 0).then(|| self.next().map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
