//! A certificate authority of a test's own, made by the openssl command.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// An authority, and a certificate of it for `names`, in openssl's words: `IP:127.0.0.1`, `DNS:localhost`.
    pub fn new(names: &str) -> Certificates {
        let directory = TempDir::new().unwrap();
        let at = directory.path();
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2"];
        let authority =
            ["req", "-x509", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"];
        openssl(at, &[&authority[..], &key[..]].concat());
        let names = format!("subjectAltName={names}");
        let server = [
            "req",
            "-x509",
            "-subj",
            "/CN=test server",
            "-keyout",
            "server.key",
            "-out",
            "server.pem",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-addext",
            &names,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ];
        openssl(at, &[&server[..], &key[..]].concat());
        Certificates { directory }
    }

    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        let at = self.directory.path();
        let chain =
            CertificateDer::pem_file_iter(at.join("server.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(at.join("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }
}

fn openssl(at: &Path, arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).current_dir(at).stderr(Stdio::piped()).output();
    let done = done.expect("openssl is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
