//! HTTP GET of files and texts, with a limit of their length. Errors are faults of a runtime's download.

use std::io::{self, Read};

use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_TYPE, RETRY_AFTER};
use ureq::{Agent, BodyReader, Timeout};

use super::agent::agent;
use super::tls;
use crate::error::{Code, Error, Result};
use crate::facts::Network;
use crate::fault::Fault;
use crate::machine::jail::request::Timeouts;
use crate::secret::ForeignText;

const USER_AGENT: &str = concat!("bootagent/", env!("CARGO_PKG_VERSION"));
/// Mirrors often redirect to a CDN or another storage.
const REDIRECTS: u32 = 5;

pub(super) struct Web {
    agent: Agent,
    timeouts: Timeouts,
}

impl Web {
    pub(super) fn new(network: &Network, timeouts: &Timeouts) -> Result<Web> {
        Ok(Web { agent: agent(network, timeouts, USER_AGENT)?, timeouts: timeouts.clone() })
    }

    /// Starts a download, which fails if it has more than `most` bytes.
    pub(super) fn get(&self, address: &str, most: u64) -> Result<ResponseBody<'_>> {
        let download = Download { web: self, address: address.to_owned() };
        let request = self.agent.get(address).config();
        let request = request.max_redirects(REDIRECTS).https_only(true).build();
        let response = request.call().map_err(|error| download.unreachable(&error))?;
        if response.status() != StatusCode::OK {
            let after =
                response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Err(download.refused(response.status()).retry_after(after));
        }
        // A mirror under maintenance answers with a web page. No file that bootagent downloads is HTML.
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().map(str::trim) == Some("text/html") {
            let cause = "the server answers with an HTML page (text/html) in place of the file";
            return Err(download.fault(Fault::RuntimeUnreachable, cause));
        }
        let length = response.body().content_length();
        if length.is_some_and(|length| length > most) {
            return Err(download.too_long(most));
        }
        Ok(ResponseBody {
            download,
            reader: response.into_body().into_reader(),
            left: most,
            most,
            failure: None,
        })
    }

    /// Downloads at most `most` bytes into memory.
    pub(super) fn bytes(&self, address: &str, most: u64) -> Result<Vec<u8>> {
        let mut answer = self.get(address, most)?;
        let mut bytes = Vec::new();
        let read = answer.read_to_end(&mut bytes);
        match (answer.failure.take(), read) {
            (Some(failure), _) => Err(failure),
            (None, Err(error)) => Err(Error::new(Code::Bug, answer.download.doing(), error)),
            (None, Ok(_)) => Ok(bytes),
        }
    }
}

struct Download<'a> {
    web: &'a Web,
    address: String,
}

impl Download<'_> {
    fn doing(&self) -> String {
        format!("downloading {}", self.address)
    }

    fn fault(&self, fault: Fault, cause: &str) -> Error {
        fault.error(self.doing(), ForeignText::message(cause))
    }

    fn refused(&self, status: StatusCode) -> Error {
        let cause = format!("the server answers {status}");
        match status.as_u16() {
            408 | 425 | 429 | 500.. => self.fault(Fault::RuntimeUnreachable, &cause),
            _ => self.fault(Fault::RuntimeAbsent, &cause),
        }
    }

    fn too_long(&self, most: u64) -> Error {
        self.fault(Fault::RuntimeUnusable, &format!("it is longer than {} MiB", most >> 20))
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        if matches!(error, ureq::Error::RequireHttpsOnly(_)) {
            return self.fault(Fault::RuntimeUntrusted, "the server redirects to plain http");
        }
        let Timeouts { stall, connect } = self.web.timeouts;
        let cause = match error {
            ureq::Error::Timeout(Timeout::PerRead | Timeout::PerWrite) => {
                format!("the server sent nothing for {stall:?}")
            }
            ureq::Error::Timeout(_) => format!("no connection within {connect:?}"),
            ureq::Error::HostNotFound => "no address for this host name (DNS)".to_owned(),
            other => other.to_string(),
        };
        match tls::is_untrusted(&cause) {
            true => self.fault(Fault::RuntimeUntrusted, &cause).remedy(tls::REMEDY),
            false => self.fault(Fault::RuntimeUnreachable, &cause),
        }
    }
}

/// A response's body. A decoder that reads it reports only that a read failed: the cause is kept in `failure`.
pub(super) struct ResponseBody<'a> {
    download: Download<'a>,
    reader: BodyReader<'static>,
    left: u64,
    most: u64,
    pub(super) failure: Option<Error>,
}

impl Read for ResponseBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let failure = match self.reader.read(buffer) {
            Ok(read) if read as u64 <= self.left => {
                self.left -= read as u64;
                return Ok(read);
            }
            Ok(_) => self.download.too_long(self.most),
            Err(error) => self.download.unreachable(&error.into()),
        };
        self.failure.get_or_insert(failure);
        Err(io::Error::other("the download failed"))
    }
}
