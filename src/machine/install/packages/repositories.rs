//! Signed repositories of packages that the policy names. They are written only if a package is missing: a boot with all
//! packages needs none of them.

use sha2::{Digest, Sha256};

use crate::error::{Code, Error, Result};
use crate::fault::Phase;
use crate::machine::Check;
use crate::machine::disk::files;
use crate::machine::install::runtimes;
use crate::machine::jail::request::DocumentRequest;
use crate::plan::{InstallPackages, Mode, Owner, PackageRepository, RepositoryKey, layout};

/// In bytes: keys have a few thousand.
const LONGEST_KEY: u64 = 256 << 10;

/// Writes their files. Returns whether any of them changed: then the package lists do not have them yet.
pub async fn ensure(wanted: &InstallPackages) -> Result<bool> {
    let mut changed = false;
    for repository in &wanted.repositories {
        if let Some(key) = &repository.key {
            changed |= key_file(repository, key).await?;
        }
        changed |= file(&repository.path, repository.text.as_bytes())?;
    }
    Ok(changed)
}

fn file(path: &std::path::Path, bytes: &[u8]) -> Result<bool> {
    let (owner, mode) = (Owner::root(), Mode(0o644));
    if files::check_file(path, bytes, &owner, mode)? == Check::AlreadySo {
        return Ok(false);
    }
    if let Some(directory) = path.parent()
        && !files::exists(directory)?
    {
        files::directory(directory, &owner, Mode(0o755))?;
    }
    files::write(path, bytes, &owner, mode).map(|()| true)
}

/// The key at an address, unless the file has it.
async fn key_file(repository: &PackageRepository, key: &RepositoryKey) -> Result<bool> {
    if files::read(&key.path)?.is_some_and(|bytes| sha256(&bytes) == key.sha256) {
        return Ok(false);
    }
    let request = DocumentRequest {
        address: key.address.clone(),
        most: LONGEST_KEY,
        network: key.network.clone(),
        timeouts: Default::default(),
    };
    let unit = layout::document_unit(layout::FETCH);
    let text = runtimes::document(request, Some(&unit), Phase::Runtime.seconds()).await?;
    let found = sha256(text.as_bytes());
    if found != key.sha256 {
        let doing = format!("reading the key of the repository {} at {}", repository.name, key.address);
        let cause = format!("its SHA-256 is {found}, and {} is another one", key.setting);
        return Err(Error::new(Code::PackagesKey, doing, cause));
    }
    file(&key.path, text.as_bytes())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
