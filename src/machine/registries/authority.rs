//! A certificate authority that exists only in the memory of one proxy: it signs one certificate for each registry's host.

use std::collections::BTreeMap;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::error::{Code, Coded, Error, Result};
use crate::machine::web::trust;

const DOING: &str = "making certificates for the proxy of private registries";

pub struct Authority {
    /// What an installation must trust, as PEM.
    pub certificate: String,
    /// By host.
    pub servers: BTreeMap<String, Arc<ServerConfig>>,
}

impl Authority {
    pub fn new<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Result<Authority> {
        let doing = || DOING.to_owned();
        let mut params = CertificateParams::new(Vec::new()).coded(Code::Bug, doing)?;
        params.distinguished_name.push(DnType::CommonName, "bootagent, for one installation");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().coded(Code::Bug, doing)?;
        let certificate = trust::pem(params.self_signed(&key).coded(Code::Bug, doing)?.der());
        let issuer = Issuer::new(params, key);
        let mut servers = BTreeMap::new();
        for host in hosts {
            servers.insert(host.to_owned(), Arc::new(server(host, &issuer)?));
        }
        Ok(Authority { certificate, servers })
    }
}

fn server(host: &str, issuer: &Issuer<'_, KeyPair>) -> Result<ServerConfig> {
    let doing = || DOING.to_owned();
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let mut params = CertificateParams::new(vec![name]).coded(Code::Bug, doing)?;
    params.distinguished_name.push(DnType::CommonName, "a private registry");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().coded(Code::Bug, doing)?;
    let certificate = params.signed_by(&key, issuer).coded(Code::Bug, doing)?.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let failed = |error: rustls::Error| Error::new(Code::Bug, DOING, error.to_string());
    let mut server =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .map_err(failed)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(server)
}
