//! What parent and child say to each other: one request, one reply, both JSON and both bounded. What a repository is
//! asked stands in `git/request.rs`.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result, SentError};
use crate::facts::Network;
use crate::machine::blocking;
use crate::plan::Checksum;

/// A request is a few paths and a password.
pub const REQUEST_BYTES: u64 = 1 << 20;
/// A reply holds every path of the tree and the evidence.
pub const REPLY_BYTES: u64 = 64 << 20;

/// Say what stands at an address, if it is a text of at most so many bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DocumentRequest {
    pub address: String,
    pub most: u64,
    pub network: Network,
    pub timeouts: Timeouts,
}

/// Unpack an archive into an existing empty directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArchiveRequest {
    pub address: String,
    pub checksum: Checksum,
    pub directory: PathBuf,
    /// What must be in it.
    pub program: PathBuf,
    /// Paths below the archive's top directory that are not needed.
    pub leave_out: Vec<String>,
    pub network: Network,
    pub timeouts: Timeouts,
}

/// How long a server is waited for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// How long the server may send nothing at all before the transfer is given up.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { connect: Duration::from_secs(15), stall: Duration::from_secs(30) }
    }
}

/// What a child answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply<T> {
    Ok(T),
    Error(Box<SentError>),
}

/// The bytes for a child's stdin, wiped when dropped: they may hold a password.
pub fn encode_request(request: &impl Serialize) -> Result<Zeroizing<Vec<u8>>> {
    // Room from the start: a vector that grows leaves unwiped copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
    serde_json::to_writer(&mut *bytes, request)
        .map_err(|error| Error::new(Code::Bug, "encoding a child's request", error))?;
    Ok(bytes)
}

/// The same beside the async thread: what a child that was taken over replies may be long.
pub async fn read_reply<T: DeserializeOwned + Send + 'static>(bytes: Vec<u8>) -> Result<T> {
    blocking(move || decode_reply(&bytes)).await
}

/// The bytes from a child's stdout. A reply that is none is a defect of ours, not the operator's.
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
    fn a_reply_that_is_none_is_a_bug() {
        for bytes in [&b""[..], b"{}", b"panicked at", b"{\"ok\":\"x\"}", b"{\"ok\":1}{"] {
            assert_eq!(decode_reply::<u32>(bytes).unwrap_err().code(), Code::Bug, "{bytes:?}");
        }
    }
}
