//! The protocol of parent and child: one request and one reply, both JSON, both bounded. The requests about git
//! repositories are in `git/request.rs`.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result, SentError};
use crate::facts::Network;
use crate::machine::blocking;
use crate::plan::Checksum;

/// Far more than a request needs: a few paths and a password.
pub const REQUEST_BYTES: u64 = 1 << 20;
/// A reply contains every path of the commit's tree, and the text of some files.
pub const REPLY_BYTES: u64 = 64 << 20;

/// Fetches a text document over HTTP. It fails if the document has more than `most` bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DocumentRequest {
    pub address: String,
    pub most: u64,
    pub network: Network,
    pub timeouts: Timeouts,
}

/// Downloads an archive and unpacks it into an existing empty directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArchiveRequest {
    pub address: String,
    pub checksum: Checksum,
    pub directory: PathBuf,
    /// A path that must exist in the archive.
    pub program: PathBuf,
    /// Paths below the archive's top directory that are not unpacked.
    pub leave_out: Vec<String>,
    pub network: Network,
    pub timeouts: Timeouts,
}

/// How long to wait for a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeouts {
    /// To connect, TLS included.
    pub connect: Duration,
    /// The longest time without a byte from the server before the transfer fails.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { connect: Duration::from_secs(15), stall: Duration::from_secs(30) }
    }
}

/// What a child writes to its stdout.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply<T> {
    Ok(T),
    Error(Box<SentError>),
}

/// The bytes for a child's stdin, wiped when dropped: they may hold a password.
pub fn encode_request(request: &impl Serialize) -> Result<Zeroizing<Vec<u8>>> {
    // Allocated large enough at once: a vector that grows leaves copies that are not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
    serde_json::to_writer(&mut *bytes, request)
        .map_err(|error| Error::new(Code::Bug, "encoding a child's request", error))?;
    Ok(bytes)
}

/// Decodes a child's reply on a blocking thread: it may have `REPLY_BYTES`.
pub async fn read_reply<T: DeserializeOwned + Send + 'static>(bytes: Vec<u8>) -> Result<T> {
    blocking(move || decode_reply(&bytes)).await
}

/// Decodes the bytes of a child's stdout. An invalid reply is `E-BUG`: the operator cannot have caused it.
pub fn decode_reply<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    match serde_json::from_slice(bytes) {
        Ok(Reply::Ok(value)) => Ok(value),
        Ok(Reply::Error(error)) => Err(Error::received(*error)),
        Err(error) => Err(Error::new(Code::Bug, "reading a child's reply", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_come_back_as_values_and_errors() {
        let ok = serde_json::to_vec(&Reply::Ok(7)).unwrap();
        assert_eq!(decode_reply::<u32>(&ok).unwrap(), 7);
        let nothing = serde_json::to_vec(&Reply::Ok(())).unwrap();
        decode_reply::<()>(&nothing).unwrap();
        let sent = Error::new(Code::BranchMissing, "fetching", "none").sent();
        let error = serde_json::to_vec(&Reply::<u32>::Error(Box::new(sent))).unwrap();
        assert_eq!(decode_reply::<u32>(&error).unwrap_err().code(), Code::BranchMissing);
    }

    #[test]
    fn an_invalid_reply_is_a_bug() {
        for bytes in [&b""[..], b"{}", b"panicked at", b"{\"ok\":\"x\"}", b"{\"ok\":1}{"] {
            assert_eq!(decode_reply::<u32>(bytes).unwrap_err().code(), Code::Bug, "{bytes:?}");
        }
    }
}
