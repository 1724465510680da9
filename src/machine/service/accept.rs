//! Checks that a service accepts connections. The kernel completes a connection to a listening socket without the service's
//! help: the port of a server whose workers all hang looks open. Sends no data.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::observation::{Bad, bad};
use crate::fault::Fault;
use crate::machine::process::sockets;

const PAUSE: Duration = Duration::from_millis(20);
const REMEDY: &str = "the service listens, but no worker of it takes connections: its log says why (a module that does not \
                      finish loading, a worker that hangs); push a fix, then: bootagent update";

/// Connects to the service, and waits until one of its processes has accepted a connection at that port.
pub async fn accepts(address: SocketAddr, cgroup: &str, most: Duration) -> Result<(), Bad> {
    let cgroup = cgroup.to_owned();
    accepted(address, move || unaccepted(address.port(), &cgroup), most).await
}

/// The same, with a function that counts the connections which wait to be accepted.
pub async fn accepted(
    address: SocketAddr,
    unaccepted: impl Fn() -> u32 + Send + 'static,
    most: Duration,
) -> Result<(), Bad> {
    match tokio::task::spawn_blocking(move || wait(address, unaccepted, most)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(cause)) => Err(Bad { remedy: Some(REMEDY.to_owned()), ..bad(Fault::HealthBadAnswer, cause) }),
        Err(error) => Err(bad(Fault::HealthBadAnswer, error.to_string())),
    }
}

fn unaccepted(port: u16, cgroup: &str) -> u32 {
    sockets::listeners(port, cgroup).own.iter().map(|listener| listener.unaccepted).sum()
}

/// A service under load always has connections in its queue: a queue that gets shorter is one that it works on.
fn wait(address: SocketAddr, unaccepted: impl Fn() -> u32, most: Duration) -> Result<(), String> {
    let until = Instant::now() + most;
    let _open = TcpStream::connect_timeout(&address, most)
        .map_err(|error| format!("it listens on {address}; connecting failed: {error}"))?;
    let mut longest = 0;
    loop {
        let now = unaccepted();
        if now == 0 || now < longest {
            return Ok(());
        }
        longest = longest.max(now);
        if Instant::now() >= until {
            let most = most.as_secs();
            return Err(format!("it listens on {address}, but accepted no connection within {most} s"));
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn waited(listener: &TcpListener) -> Result<(), String> {
        let address = listener.local_addr().unwrap();
        let own = || sockets::unaccepted_at(address);
        wait(address, own, Duration::from_millis(300))
    }

    #[test]
    fn a_server_that_accepts_is_told_from_one_that_only_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(waited(&listener).unwrap_err().contains("accepted no connection"));
        let server = listener.try_clone().unwrap();
        let accepting = std::thread::spawn(move || {
            // The one of the first attempt, and this one's.
            (server.accept().unwrap(), server.accept().unwrap())
        });
        waited(&listener).unwrap();
        accepting.join().unwrap();
    }

    #[test]
    fn a_queue_that_gets_shorter_is_worked_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let lengths = std::cell::RefCell::new(vec![6, 7, 7]);
        let shrinking = || lengths.borrow_mut().pop().unwrap_or(6);
        assert_eq!(wait(listener.local_addr().unwrap(), shrinking, Duration::from_millis(300)), Ok(()));
        let full = wait(listener.local_addr().unwrap(), || 7, Duration::from_millis(100));
        assert!(full.unwrap_err().contains("accepted no connection"));
    }
}
