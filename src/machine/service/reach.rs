//! Whether addresses accept connections. Sends nothing, and changes nothing.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::machine::{Change, Check, progress};
use crate::plan::Seconds;

/// For one connection: a security group drops packets without an answer.
const LONGEST: Duration = Duration::from_secs(3);
/// Addresses of one name: a DNS server must not make a try endless.
const MOST: usize = 16;

pub async fn check(addresses: &[String]) -> Result<Check> {
    Ok(match first_closed(addresses).await {
        Some((address, why)) => Check::WouldChange(format!("{address}: {why}")),
        None => Check::AlreadySo,
    })
}

pub async fn wait(addresses: &[String], within: Seconds) -> Result<Change> {
    with_retries(RetryLimit::lasting(within.duration()), async || match first_closed(addresses).await {
        None => Ok(()),
        Some((address, why)) => {
            progress::say(format!("{address}: {why}"));
            Err(refused(address, why))
        }
    })
    .await?;
    Ok(Change::Changed("all accept connections".to_owned()))
}

fn refused(address: &str, why: String) -> Error {
    Fault::AddressClosed.error(format!("waiting for {address} (wait_for in bootagent.toml)"), why)
}

async fn first_closed(addresses: &[String]) -> Option<(&str, String)> {
    for address in addresses {
        if let Err(why) = connect(address).await {
            return Some((address, why));
        }
    }
    None
}

async fn connect(address: &str) -> Result<(), String> {
    let mut found = match timeout(LONGEST, lookup_host(address)).await {
        Ok(Ok(found)) => found.peekable(),
        Ok(Err(error)) => return Err(format!("its name has no address here: {error}")),
        Err(_) => return Err("the DNS server does not answer".to_owned()),
    };
    if found.peek().is_none() {
        return Err("its name has no address here".to_owned());
    }
    any(found.take(MOST)).await
}

/// Whether one of a name's addresses accepts connections: as clients do, each is tried.
async fn any(addresses: impl Iterator<Item = SocketAddr>) -> Result<(), String> {
    let mut last = silent();
    for one in addresses {
        last = match timeout(LONGEST, TcpStream::connect(one)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                "it refuses connections: nothing listens there".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => silent(),
        };
    }
    Err(last)
}

fn silent() -> String {
    format!(
        "no answer within {} s: is there a route, and does the security group allow it?",
        LONGEST.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn one_address_of_a_name_is_enough() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let closed = SocketAddr::new("::1".parse().unwrap(), at.port());
        assert_eq!(any([closed, at].into_iter()).await, Ok(()));
        assert_eq!(any([at, closed].into_iter()).await, Ok(()));
        drop(listener);
        let refused = any([at, closed].into_iter()).await.unwrap_err();
        assert!(refused.contains("it refuses connections"), "{refused}");
    }
}
