//! git's smart protocol over ssh, the key in memory: what libgit2 reads and writes goes through russh.

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

use super::credential::{Credential, unfit};
use super::transport::{self, Account};
use crate::error::Result;
use crate::facts::Network;
use crate::machine::jail::request::FetchRequest;
use crate::machine::jail::request::Timeouts;

/// One fetch: to whom, and as whom.
pub(super) struct Session {
    account: Account,
    address: Address,
    known: Known,
    key: Key,
    network: Network,
    timeouts: Timeouts,
}

impl Session {
    /// All that can be wrong before anything is connected.
    pub(super) fn new(address: Address, request: &FetchRequest) -> Result<Session> {
        let key = match &request.credential {
            Some(Credential::Key(secret)) => Key::parse(secret)?,
            Some(_) => {
                return Err(unfit("an ssh repository is opened by a private key, and this is none").remedy(
                    "store the deploy key's private half in the secret, or write the repository as https://",
                ));
            }
            None => {
                return Err(unfit(
                    "an ssh repository is opened by a private key, and there is no credential",
                )
                .remedy("name the deploy key's secret with --git-credential-secret"));
            }
        };
        Ok(Session {
            account: Account::new(address.as_str(), request.limits.pack_bytes),
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

    fn account(&self) -> &Account {
        &self.account
    }
}

struct Subtransport(Arc<Session>);

impl SmartSubtransport for Subtransport {
    /// Asked once: the whole conversation is one stream.
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
            Err(error) => Err(git2::Error::from_str(&session.account.fail(error).to_string())),
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
        let account = &self.session.account;
        let read = self.connection.read(&self.session, buffer).map_err(|error| account.fail(error))?;
        account.count(read).map_err(|error| account.fail(error))?;
        Ok(read)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.connection.write(&self.session, bytes).map_err(|error| self.session.account.fail(error))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
