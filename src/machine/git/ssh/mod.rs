//! git's smart protocol over ssh: a transport for libgit2, with russh. The private key is only in memory.

mod address;
mod connection;
mod hosts;
mod key;
mod tunnel;

use std::io::{self, Read, Write};
use std::sync::Arc;

use git2::Remote;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};

pub(super) use address::Address;
use connection::Connection;
use hosts::Known;
use key::Key;

use super::credential::{Credential, unusable};
use super::request::FetchRequest;
use super::transport::{self, Exchange};
use crate::error::Result;
use crate::facts::Network;
use crate::machine::jail::request::Timeouts;

/// One fetch: its server and key.
pub(super) struct Session {
    exchange: Exchange,
    address: Address,
    known: Known,
    key: Key,
    network: Network,
    timeouts: Timeouts,
}

impl Session {
    /// Fails for all that can be wrong before a connection.
    pub(super) fn new(address: Address, request: &FetchRequest) -> Result<Session> {
        let key = match &request.credential {
            Some(Credential::Key(secret)) => Key::parse(secret)?,
            Some(_) => {
                return Err(unusable(
                    "an ssh repository needs a private key, and the credential is not one",
                )
                .remedy(
                    "store the deploy key's private key in the secret, or write the repository as https://",
                ));
            }
            None => {
                return Err(unusable("an ssh repository needs a private key, and there is no credential")
                    .remedy("name the deploy key's secret with --git-credential-secret"));
            }
        };
        Ok(Session {
            exchange: Exchange::new(address.as_str(), request.limits.pack_bytes),
            known: Known::of(address.host(), address.port(), &request.host_keys)?,
            address,
            key,
            network: request.network.clone(),
            timeouts: request.timeouts.clone(),
        })
    }
}

impl transport::Session for Session {
    fn transport(self: Arc<Self>, remote: &Remote<'_>) -> Result<Transport, git2::Error> {
        Transport::smart(remote, false, Subtransport(self))
    }

    fn exchange(&self) -> &Exchange {
        &self.exchange
    }
}

struct Subtransport(Arc<Session>);

impl SmartSubtransport for Subtransport {
    /// libgit2 calls this once: all requests and answers go through one stream.
    fn action(&self, _url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        match action {
            Service::UploadPackLs | Service::UploadPack => {}
            Service::ReceivePackLs | Service::ReceivePack => {
                return Err(git2::Error::from_str("this program never pushes"));
            }
        }
        let session = Arc::clone(&self.0);
        match Connection::open(&session) {
            Ok(connection) => Ok(Box::new(Stream { session, connection })),
            Err(error) => Err(git2::Error::from_str(&session.exchange.fail(error).to_string())),
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

struct Stream {
    session: Arc<Session>,
    connection: Connection,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let exchange = &self.session.exchange;
        let read = self.connection.read(&self.session, buffer).map_err(|error| exchange.fail(error))?;
        exchange.count(read).map_err(|error| exchange.fail(error))?;
        Ok(read)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.connection.write(&self.session, bytes).map_err(|error| self.session.exchange.fail(error))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
