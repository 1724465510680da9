//! The places of the machine's CA certificates. Reads none of them.

use std::path::Path;

/// Where distributions keep their CA bundle. rustls-native-certs would search by itself, but it reads SSL_CERT_FILE
/// first, and a directory of three hundred files.
pub const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Amazon Linux, RHEL, Fedora
    "/etc/pki/tls/certs/ca-bundle.crt",   // their older releases
    "/etc/ssl/ca-bundle.pem",             // SUSE
    "/etc/ssl/cert.pem",                  // Alpine
];

/// The first of them that the machine has.
pub fn bundle_file() -> Option<&'static Path> {
    BUNDLES.iter().map(Path::new).find(|path| path.exists())
}

/// Whether the machine has no CA bundle in any of these places.
pub fn is_without() -> bool {
    bundle_file().is_none()
}
