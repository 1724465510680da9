//! Whether addresses accept connections. Sends nothing, and changes nothing.

use std::io::ErrorKind;
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
    let silent = || {
        format!(
            "no answer within {} s: is there a route, and does the security group allow it?",
            LONGEST.as_secs()
        )
    };
    let mut found = match timeout(LONGEST, lookup_host(address)).await {
        Ok(Ok(found)) => found.peekable(),
        Ok(Err(error)) => return Err(format!("its name has no address here: {error}")),
        Err(_) => return Err("the DNS server does not answer".to_owned()),
    };
    if found.peek().is_none() {
        return Err("its name has no address here".to_owned());
    }
    let mut last = silent();
    for one in found {
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
