//! The HTTP client of everything that AWS is asked.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::base64;

use crate::error::{Code, Error, Result};
use crate::facts::{Network, Proxy};
use crate::machine::web::trust::certificates_of;

/// For instance metadata, which no proxy and no certificate comes near.
pub fn direct() -> SharedHttpClient {
    Builder::new().tls_provider(provider()).build_https()
}

/// As the policy says. The library's own default is the same, but takes no proxy.
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

/// Only for https: even a client that asks for metadata asks for that directly.
fn proxy(at: &Proxy, network: &Network) -> Result<ProxyConfig> {
    let proxy = ProxyConfig::https(at.as_str()).map_err(|error| {
        Error::new(Code::PolicyInvalid, format!("reading the proxy's address {at}"), error)
    })?;
    Ok(proxy.no_proxy(network.direct().join(",")))
}

/// The system's certificates and the policy's. The library panics over what it cannot read, so it gets
/// what was read already.
fn trusted(network: &Network) -> Result<TrustStore> {
    let mut store = TrustStore::default();
    if let Some(file) = &network.ca_file {
        for certificate in certificates_of(file.path())? {
            let body = base64::encode(certificate.as_ref());
            store.add_pem_certificate(format!(
                "-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
            ));
        }
    }
    Ok(store)
}
