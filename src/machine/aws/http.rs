//! The HTTP client of the AWS SDK: TLS, certificates and proxy as the policy sets them.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::error::{Code, Error, Result};
use crate::facts::{Network, Proxy};
use crate::machine::disk::bundles::is_without;
use crate::machine::web::trust::{certificates_of, is_named_by_environment, pem, system_certificates};

/// For IMDS: never through a proxy, which would see the role's credentials. IMDS speaks plain HTTP, so no CA certificate is read.
pub fn direct() -> SharedHttpClient {
    Builder::new().build_http()
}

/// For AWS APIs, with the proxy and CA file of the policy; otherwise like the SDK's default client.
pub fn client(network: &Network) -> Result<SharedHttpClient> {
    let context = TlsContext::builder()
        .with_trust_store(trusted(network)?)
        .build()
        .map_err(|error| Error::new(Code::Bug, "setting TLS up", error))?;
    let proxy = network.proxy.as_ref().map(|at| proxy(at, network)).transpose()?;
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().tls_provider(provider()).tls_context(context.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.set_proxy_config(proxy.clone());
        connector.build()
    }))
}

fn provider() -> Provider {
    Provider::Rustls(CryptoMode::AwsLc)
}

/// Only https requests use the proxy: a request to IMDS, which is plain http, goes directly even with this client.
fn proxy(at: &Proxy, network: &Network) -> Result<ProxyConfig> {
    let proxy = ProxyConfig::https(at.as_str()).map_err(|error| {
        Error::new(Code::PolicyInvalid, format!("reading the proxy's address {at}"), error)
    })?;
    Ok(proxy.no_proxy(network.direct().join(",")))
}

/// The system's certificates and those of the policy's CA file. The SDK panics on an invalid PEM file, so it gets
/// certificates that are parsed already. Where the system's bundle is not found, the SDK searches: it reads three hundred files.
fn trusted(network: &Network) -> Result<TrustStore> {
    let mut store = match system_certificates() {
        Some(text) => TrustStore::empty().with_pem_certificate(text),
        None if network.ca_file.is_none() && is_without() && !is_named_by_environment() => {
            return Err(without_certificates());
        }
        None => TrustStore::default(),
    };
    if let Some(file) = &network.ca_file {
        let certificates = certificates_of(file.path())?;
        store.add_pem_certificate(certificates.iter().map(pem).collect::<String>());
    }
    Ok(store)
}

/// Each call would fail as if AWS could not be reached, until its time is over.
fn without_certificates() -> Error {
    Error::new(Code::SecretUnreachable, "setting TLS up for AWS", "the machine has no CA certificates")
        .remedy("install the package ca-certificates in the AMI, or name a CA file in the policy: network.ca_file")
}
