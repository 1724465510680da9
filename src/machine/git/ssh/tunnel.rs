//! Connects to the ssh server, directly or through the policy's proxy with HTTP CONNECT.

use tokio::net::TcpStream;

use super::Session;
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::machine::web::connect;

/// A TCP connection that reaches the ssh server. Errors name the proxy if there is one.
pub async fn connect(session: &Session) -> Result<TcpStream> {
    let (host, port) = (session.address.host(), session.address.port());
    let target = format!("{host}:{port}");
    let Some(proxy) = session.network.proxy_for(host) else {
        return connect_to(&target).await.map_err(|cause| unreachable(session, &cause));
    };
    let through = async {
        let mut stream = connect_to(proxy.authority()).await?;
        connect::tunnel(&mut stream, &target).await.map(|()| stream)
    };
    through.await.map_err(|cause| unreachable(session, &format!("{cause} (by the proxy {proxy})")))
}

fn unreachable(session: &Session, cause: &str) -> Error {
    session.exchange.fault(Fault::GitUnreachable, cause)
}

async fn connect_to(at: &str) -> Result<TcpStream, String> {
    let addresses = tokio::net::lookup_host(at).await;
    let addresses: Vec<_> = addresses.map_err(|_| "no address for this host name (DNS)")?.collect();
    TcpStream::connect(&addresses[..]).await.map_err(|error| error.to_string())
}
