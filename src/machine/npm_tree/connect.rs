//! A TLS connection to a server, straight or through a proxy, with HTTP/2 if the server has it. Each step has a time limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::{Failure, Result};
use crate::fault::Fault;
use crate::machine::web::{connect as proxied, tls};

const CONNECT: Duration = Duration::from_secs(15);

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
            let target = format!("{host}:{port}");
            proxied::tunnel(&mut tcp, &target).await.map_err(|cause| unreachable(host, &cause))?;
        }
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| unreachable(host, &error.to_string()))?;
        connector.connect(name, tcp).await.map_err(|error| {
            let cause = error.to_string();
            match tls::is_untrusted(&cause) || tls::is_unsupported(&cause) {
                // Node brings certificates and ciphers of its own, and npm says what is wrong in its words.
                true => Failure::ForNpm(format!("{host} is not trusted: {cause}")),
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

fn unreachable(host: &str, cause: &str) -> Failure {
    Failure::new(Fault::RegistryUnreachable, format!("connecting to {host}: {cause}"))
}
