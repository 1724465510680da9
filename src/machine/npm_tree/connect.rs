//! A TLS connection to a server, straight or through a proxy, with HTTP/2 if the server has it. Each step has a time limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::{Failure, Result};
use crate::fault::Fault;
use crate::machine::web::tls;

const CONNECT: Duration = Duration::from_secs(15);
/// In bytes: the head of a proxy's answer.
const HEAD: usize = 8 << 10;

pub type Stream = TlsStream<TcpStream>;

pub fn tls(roots: RootCertStore) -> Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder =
        builder.map_err(|error| Failure::new(Fault::InstallFailed, format!("setting TLS up: {error}")))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The addresses of a host, which are asked for once: name servers drop many equal questions at once.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let asked = tokio::time::timeout(CONNECT, tokio::net::lookup_host((host, port))).await;
    match asked {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(_)) => Err(unreachable(host, "no address for this host name (DNS)")),
        Err(_) => Err(unreachable(host, "no answer to the question for its address (DNS)")),
    }
}

/// Connects to one of the addresses, through which `host` is reached: its own, or those of `proxy`.
pub async fn connect(
    connector: &TlsConnector,
    host: &str,
    port: u16,
    addresses: &[SocketAddr],
    is_proxied: bool,
) -> Result<Stream> {
    let connecting = async {
        let mut tcp = tcp(host, addresses).await?;
        if is_proxied {
            tunnel(&mut tcp, host, port).await?;
        }
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| unreachable(host, &error.to_string()))?;
        connector.connect(name, tcp).await.map_err(|error| {
            let cause = error.to_string();
            match tls::is_untrusted(&cause) || tls::is_unsupported(&cause) {
                true => Failure::new(Fault::RegistryUntrusted, format!("connecting to {host}: {cause}")),
                false => unreachable(host, &cause),
            }
        })
    };
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(unreachable(host, &format!("no connection within {} s", CONNECT.as_secs()))),
    }
}

async fn tcp(host: &str, addresses: &[SocketAddr]) -> Result<TcpStream> {
    let mut last = "it has no address".to_owned();
    for address in addresses.iter().take(8) {
        match tokio::time::timeout(CONNECT / 3, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("{address} does not answer"),
        }
    }
    Err(unreachable(host, &last))
}

/// Asks a proxy for a tunnel.
async fn tunnel(tcp: &mut TcpStream, host: &str, port: u16) -> Result<()> {
    let failed = |error: std::io::Error| unreachable(host, &format!("the proxy: {error}"));
    let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut head = Vec::new();
    // Byte by byte: what follows the head is TLS's.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > HEAD {
            return Err(unreachable(host, "the proxy's answer has no end"));
        }
        head.push(tcp.read_u8().await.map_err(failed)?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    match status.starts_with('2') {
        true => Ok(()),
        false => Err(unreachable(host, &format!("the proxy answers {}", crate::secret::excerpt(status)))),
    }
}

fn unreachable(host: &str, cause: &str) -> Failure {
    Failure::new(Fault::RegistryUnreachable, format!("connecting to {host}: {cause}"))
}
