//! Files over https, apart from git: asked for, bounded, and what goes wrong told as a fault.

use std::io::{self, Read};

use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use ureq::{Agent, BodyReader, Timeout};

use super::tls;
use crate::error::{Code, Error, Result};
use crate::facts::Network;
use crate::fault::Fault;
use crate::machine::git::http;
use crate::machine::jail::request::Timeouts;
use crate::secret::ForeignText;

const OURS: &str = concat!("bootagent/", env!("CARGO_PKG_VERSION"));
/// Mirrors often lead on to where their files really are.
const REDIRECTS: u32 = 5;

pub(super) struct Web {
    agent: Agent,
    timeouts: Timeouts,
}

impl Web {
    pub(super) fn new(network: &Network, timeouts: &Timeouts) -> Result<Web> {
        Ok(Web { agent: http::agent(network, timeouts)?, timeouts: timeouts.clone() })
    }

    /// What stands at the address, of which at most so many bytes are read.
    pub(super) fn get(&self, address: &str, most: u64) -> Result<Answer<'_>> {
        let asking = Asking { web: self, address: address.to_owned() };
        let request = self.agent.get(address).header(USER_AGENT, OURS).config();
        let request = request.max_redirects(REDIRECTS).https_only(true).build();
        let response = request.call().map_err(|error| asking.unreachable(&error))?;
        if response.status() != StatusCode::OK {
            let after =
                response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            return Err(asking.refused(response.status()).retry_after(after));
        }
        // As a mirror does that is being maintained: nothing that is asked for here is one.
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().map(str::trim) == Some("text/html") {
            let cause = "the server answers with an HTML page (text/html) in place of the file";
            return Err(asking.fault(Fault::RuntimeUnreachable, cause));
        }
        let length = response.body().content_length();
        if length.is_some_and(|length| length > most) {
            return Err(asking.too_long(most));
        }
        Ok(Answer { asking, reader: response.into_body().into_reader(), left: most, most, failure: None })
    }

    /// The same, whole.
    pub(super) fn bytes(&self, address: &str, most: u64) -> Result<Vec<u8>> {
        let mut answer = self.get(address, most)?;
        let mut bytes = Vec::new();
        let read = answer.read_to_end(&mut bytes);
        match (answer.failure.take(), read) {
            (Some(failure), _) => Err(failure),
            (None, Err(error)) => Err(Error::new(Code::Bug, answer.asking.doing(), error)),
            (None, Ok(_)) => Ok(bytes),
        }
    }
}

struct Asking<'a> {
    web: &'a Web,
    address: String,
}

impl Asking<'_> {
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
            return self.fault(Fault::RuntimeUntrusted, "the server leads on to plain http");
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

/// A body on its way. Whoever reads it through a decoder finds here what really went wrong.
pub(super) struct Answer<'a> {
    asking: Asking<'a>,
    reader: BodyReader<'static>,
    left: u64,
    most: u64,
    pub(super) failure: Option<Error>,
}

impl Read for Answer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let failure = match self.reader.read(buffer) {
            Ok(read) if read as u64 <= self.left => {
                self.left -= read as u64;
                return Ok(read);
            }
            Ok(_) => self.asking.too_long(self.most),
            Err(error) => self.asking.unreachable(&error.into()),
        };
        self.failure.get_or_insert(failure);
        Err(io::Error::other("the download failed"))
    }
}
