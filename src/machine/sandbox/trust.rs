//! Which certificates are trusted: the system's, one more file, and only if there are none, Mozilla's.

use std::path::Path;
use std::sync::Arc;

use rustls_native_certs::load_certs_from_paths;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::error::{Code, Error, Result};

/// Where distributions keep their bundle. Named here because the usual probe reads SSL_CERT_FILE first,
/// and a directory of three hundred files besides.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Amazon Linux, RHEL, Fedora
    "/etc/pki/tls/certs/ca-bundle.crt",   // their older releases
    "/etc/ssl/ca-bundle.pem",             // SUSE
    "/etc/ssl/cert.pem",                  // Alpine
];

pub(super) fn tls(ca_file: Option<&Path>) -> Result<TlsConfig> {
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(roots(ca_file)?)
        .build())
}

fn roots(ca_file: Option<&Path>) -> Result<RootCerts> {
    let bundle = BUNDLES.iter().map(Path::new).find(|path| path.exists());
    let mut certificates = load_certs_from_paths(bundle, None).certs;
    if let Some(file) = ca_file {
        certificates.extend(certificates_of(file)?);
    }
    if certificates.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let owned = certificates.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(RootCerts::Specific(Arc::new(owned)))
}

/// A file that the policy names must hold at least one: silence here would show as "unknown issuer".
fn certificates_of(file: &Path) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>> {
    let read = load_certs_from_paths(Some(file), None);
    if read.certs.is_empty() {
        let cause = read.errors.first().map_or("no PEM certificate in it".to_owned(), ToString::to_string);
        return Err(Error::new(
            Code::PolicyInvalid,
            format!("reading the CA file {}", file.display()),
            cause,
        ));
    }
    Ok(read.certs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_a_certificate_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(roots(Some(file.path())).unwrap_err().code(), Code::PolicyInvalid);
        assert_eq!(roots(Some(Path::new("/no/such/ca.pem"))).unwrap_err().code(), Code::PolicyInvalid);
    }
}
