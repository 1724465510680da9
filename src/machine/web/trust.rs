//! Which CA certificates are trusted: the system's and the policy's CA file; Mozilla's only if there are neither.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use data_encoding::BASE64;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_native_certs::load_certs_from_paths;
use serde::{Deserialize, Serialize};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::error::{Code, Coded, Error, Result};
use crate::facts::CaFile;
use crate::machine::disk::bundles::{BUNDLES, bundle_file};
use crate::machine::disk::same_file::SameFile;
use crate::machine::disk::{files, owned};
use crate::plan::{Mode, Owner};

/// In bytes. Mozilla's bundle has a quarter of this.
const LARGEST: u64 = 1 << 20;
const AGENT: &str = env!("CARGO_PKG_VERSION");
/// Of the system's bundle, which root wrote, and which may have comments.
const LARGEST_BUNDLE: u64 = 16 << 20;

/// rustls with aws-lc, and the trusted certificates.
pub(super) fn tls(ca_file: Option<&CaFile>) -> Result<TlsConfig> {
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(roots(ca_file)?)
        .build())
}

fn roots(ca_file: Option<&CaFile>) -> Result<RootCerts> {
    let mut certificates = load_certs_from_paths(bundle_file(), None).certs;
    if let Some(file) = ca_file {
        certificates.extend(certificates_of(file.path())?);
    }
    if certificates.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let owned = certificates.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(RootCerts::Specific(Arc::new(owned)))
}

/// The same for a client that is not ureq's. `instead` replaces the machine's certificates, `more` adds to them; Mozilla's are
/// taken if there are none at all.
pub fn store(instead: Option<&Path>, more: Option<&Path>) -> Result<rustls::RootCertStore> {
    let mut certificates = match instead {
        Some(file) if BUNDLES.iter().all(|bundle| Path::new(bundle) != file) => certificates_of(file)?,
        _ => load_certs_from_paths(bundle_file(), None).certs,
    };
    certificates.extend(more.map(certificates_of).transpose()?.into_iter().flatten());
    let mut store = rustls::RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(store)
}

/// Which bundle a bootagent of this version could use whole, so that the next run need not find that out. Parsing it takes a tenth of
/// the processor time of a run that changes nothing, and the AWS SDK does so once more. Only root can read or write it.
const USABLE: &str = "/var/lib/bootagent/certificates.json";

/// Another version may have a parser that refuses what this one takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Usable {
    agent: String,
    bundle: SameFile,
}

/// The system's certificates as PEM, without any that cannot be used, and what is to be recorded of them. `None` if it has no bundle,
/// or if the environment of this process names other files, as on a laptop. Read once: each client of an AWS API gets them.
static SYSTEM: LazyLock<Option<(Vec<u8>, Option<Usable>)>> = LazyLock::new(|| {
    let bundle = bundle_file().filter(|_| !is_named_by_environment())?;
    read(bundle, Path::new(USABLE))
});

pub fn system_certificates() -> Option<&'static [u8]> {
    SYSTEM.as_ref().map(|(text, _)| text.as_slice())
}

/// Records what this run has found out of the bundle, if it had to.
pub fn remember() -> Result<()> {
    let Some((_, Some(usable))) = LazyLock::get(&SYSTEM).and_then(Option::as_ref) else { return Ok(()) };
    let text = serde_json::to_vec_pretty(usable)
        .map_err(|error| Error::new(Code::Bug, format!("writing {USABLE}"), error))?;
    files::write(Path::new(USABLE), &text, &Owner::root(), Mode(0o600))
}

/// A bundle without certificates that cannot be used, and what is to be recorded of it. It is not parsed if it is the recorded one.
fn read(bundle: &Path, record: &Path) -> Option<(Vec<u8>, Option<Usable>)> {
    let file = std::fs::File::open(bundle).ok()?;
    let found = SameFile::of(&file.metadata().ok()?);
    let found = found.map(|bundle| Usable { agent: AGENT.to_owned(), bundle });
    let mut text = Vec::new();
    file.take(LARGEST_BUNDLE).read_to_end(&mut text).ok()?;
    // Nothing is recorded if the record is absent, damaged, or not readable by this user.
    let recorded = files::read(record).ok().flatten();
    let recorded = recorded.and_then(|text| serde_json::from_slice::<Usable>(&text).ok());
    if found.is_some() && recorded == found {
        return Some((text, None));
    }
    let whole = text.clone();
    let usable = usable(text)?;
    let found = found.filter(|_| usable == whole);
    Some((usable, found))
}

/// Whether the environment of this process names the certificates, as OpenSSL reads it.
pub fn is_named_by_environment() -> bool {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some())
}

/// The same text, if all of its certificates can be used.
fn usable(text: Vec<u8>) -> Option<Vec<u8>> {
    let mut store = rustls::RootCertStore::empty();
    let read: Vec<_> = CertificateDer::pem_slice_iter(&text).collect();
    let usable: Vec<_> = read.iter().flatten().filter(|der| store.add((*der).clone()).is_ok()).collect();
    match usable.len() {
        0 => None,
        all if all == read.len() => Some(text),
        _ => Some(usable.into_iter().map(pem).collect::<String>().into_bytes()),
    }
}

/// The certificates of the policy's CA file. Fails if it has none, or a broken one, which would show only later as
/// "unknown issuer", and if users other than root and the user of this process can change it.
pub fn certificates_of(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bad = |cause: String| {
        Error::new(Code::PolicyInvalid, format!("reading the CA file {}", file.display()), cause)
            .remedy("use a PEM file that root owns and every user can read, outside /home and /tmp, such as /etc/bootagent/ca.pem")
    };
    let text = owned::read(file, LARGEST).map_err(bad)?.ok_or_else(|| bad("it does not exist".to_owned()))?;
    let read: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = read.map_err(|error| bad(error.to_string()))?;
    if certificates.is_empty() {
        return Err(bad("it has no PEM certificate".to_owned()));
    }
    let mut usable = rustls::RootCertStore::empty();
    for certificate in &certificates {
        usable.add(certificate.clone()).map_err(|error| bad(error.to_string()))?;
    }
    Ok(certificates)
}

/// The system's certificates and the file's as one PEM text, for programs whose CA file replaces the system's.
pub fn bundle(file: &Path) -> Result<Vec<u8>> {
    let mut all = system()?;
    for der in certificates_of(file)? {
        all.extend(pem(&der).into_bytes());
    }
    Ok(all)
}

/// The same with the policy's CA file, if there is one, and one more certificate in PEM.
pub fn bundle_with(ca_file: Option<&CaFile>, certificate: &str) -> Result<Vec<u8>> {
    let mut all = match ca_file {
        Some(file) => bundle(file.path())?,
        None => system()?,
    };
    all.extend_from_slice(certificate.as_bytes());
    Ok(all)
}

/// The system's certificates as PEM; empty if it has none.
fn system() -> Result<Vec<u8>> {
    let Some(system) = bundle_file() else { return Ok(Vec::new()) };
    let mut all = std::fs::read(system).doing(|| format!("reading {}", system.display()))?;
    all.push(b'\n');
    Ok(all)
}

pub fn pem(der: &CertificateDer<'_>) -> String {
    let text = BASE64.encode(der.as_ref());
    let lines: Vec<&str> =
        (0..text.len()).step_by(64).filter_map(|at| text.get(at..text.len().min(at + 64))).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn written_pem_text_reads_back_unchanged() {
        for length in [1, 47, 48, 49, 96, 1000] {
            let der = CertificateDer::from((0..length).map(|n| n as u8).collect::<Vec<_>>());
            let text = pem(&der) + &pem(&der);
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            let read: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).map(Result::unwrap).collect();
            assert_eq!(read, [der.clone(), der]);
        }
    }

    #[test]
    fn a_bundle_s_certificates_are_used_without_those_that_cannot_be() {
        let good = rcgen::generate_simple_self_signed(["x.test".to_owned()]).unwrap().cert;
        let text = pem(good.der());
        assert_eq!(usable(text.clone().into_bytes()).unwrap(), text.as_bytes());
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(usable(format!("{bad}# a comment\n{text}").into_bytes()).unwrap(), text.as_bytes());
        assert_eq!(usable(bad.as_bytes().to_vec()), None);
        assert_eq!(usable(Vec::new()), None);
    }

    #[test]
    fn a_bundle_that_was_usable_is_not_parsed_again_and_any_other_is() {
        let scratch = tempfile::tempdir().unwrap();
        let (bundle, record) = (scratch.path().join("bundle.pem"), scratch.path().join("record.json"));
        let good = pem(rcgen::generate_simple_self_signed(["x.test".to_owned()]).unwrap().cert.der());
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let recorded =
            |usable: &Usable| std::fs::write(&record, serde_json::to_vec(usable).unwrap()).unwrap();
        std::fs::write(&bundle, format!("{bad}{good}")).unwrap();
        assert_eq!(read(&bundle, &record), Some((good.clone().into_bytes(), None)), "it changed just now");
        std::thread::sleep(std::time::Duration::from_secs(4));
        assert_eq!(read(&bundle, &record), Some((good.clone().into_bytes(), None)), "one cannot be used");
        let agent = AGENT.to_owned();
        let same = Usable { agent, bundle: SameFile::of(&bundle.metadata().unwrap()).unwrap() };
        // It says what is not so: that shows whether it is read.
        recorded(&same);
        assert_eq!(read(&bundle, &record).unwrap().0, format!("{bad}{good}").into_bytes());
        recorded(&Usable { agent: "0.0.1".to_owned(), ..same.clone() });
        assert_eq!(read(&bundle, &record).unwrap().0, good.as_bytes(), "another version said so");
        std::fs::write(&record, "{ not JSON").unwrap();
        assert_eq!(read(&bundle, &record).unwrap().0, good.as_bytes());
        let system = Path::new("/etc/ssl/certs/ca-certificates.crt");
        if let Some((text, found)) = read(system, &record) {
            assert_eq!(text, std::fs::read(system).unwrap());
            assert_eq!(found.unwrap().bundle, SameFile::of(&system.metadata().unwrap()).unwrap());
        }
    }

    fn refused(text: &str, mode: u32) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = certificates_of(file.path()).unwrap_err();
        assert_eq!(error.code(), Code::PolicyInvalid);
        error.to_string()
    }

    #[test]
    fn a_ca_file_without_a_usable_certificate_is_refused() {
        assert!(refused("", 0o644).contains("no PEM certificate"));
        assert!(refused("not a certificate\n", 0o644).contains("no PEM certificate"));
        refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o644);
        refused("-----BEGIN CERTIFICATE-----\nAAAA\n", 0o644);
        let absent = certificates_of(Path::new("/no/such/ca.pem")).unwrap_err();
        assert_eq!(absent.code(), Code::PolicyInvalid);
        assert!(certificates_of(Path::new("/etc")).unwrap_err().to_string().contains("is not a file"));
    }

    #[test]
    fn a_ca_file_that_others_may_write_is_refused() {
        assert!(refused("", 0o664).contains("(mode 0664"));
        assert!(refused("", 0o646).contains("(mode 0646"));
    }
}
