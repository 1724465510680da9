//! A connection to any other host, whose bytes pass unseen: directly, or through the policy's proxy.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};

use crate::facts::Network;
use crate::machine::jail::request::Timeouts;
use crate::machine::web::connect as proxied;

/// A connection without a byte in either direction is closed.
const IDLE: std::time::Duration = std::time::Duration::from_secs(300);

/// Connects to `target` (`host:port`). The error says why it is not reached.
pub fn connect(
    target: &str,
    host: &str,
    network: &Network,
    timeouts: &Timeouts,
) -> Result<TcpStream, String> {
    let Some(proxy) = network.proxy_for(host) else { return connect_to(target, timeouts) };
    let mut stream = connect_to(proxy.authority(), timeouts)?;
    proxied::tunnel_blocking(&mut stream, target)
        .map_err(|cause| format!("{cause} (by the proxy {proxy})"))?;
    Ok(stream)
}

fn connect_to(at: &str, timeouts: &Timeouts) -> Result<TcpStream, String> {
    let addresses = at.to_socket_addrs().map_err(|_| "no address for this host name (DNS)".to_owned())?;
    let mut cause = "no address for this host name (DNS)".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeouts.connect) {
            Ok(stream) => {
                let set =
                    stream.set_read_timeout(Some(timeouts.stall)).and_then(|()| stream.set_nodelay(true));
                set.map_err(|error| error.to_string())?;
                return Ok(stream);
            }
            Err(error) => cause = error.to_string(),
        }
    }
    Err(cause)
}

/// Passes bytes in both directions until both ends are closed.
pub fn join(client: TcpStream, server: TcpStream) -> io::Result<()> {
    for end in [&client, &server] {
        end.set_read_timeout(Some(IDLE))?;
    }
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    let up = std::thread::spawn(move || pass(from, to));
    pass(server, client);
    let _ = up.join();
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 32 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
