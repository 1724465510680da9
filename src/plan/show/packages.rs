//! How a plan shows the installation of packages of the distribution.

use super::{file, printable};
use crate::facts::PackageManager;
use crate::plan::{InstallPackages, PackageRepository};

pub fn lines(packages: &InstallPackages) -> Vec<String> {
    let (manager, locked) = match packages.manager {
        PackageManager::Apt => ("apt", "dpkg"),
        PackageManager::Dnf => ("dnf", "dnf"),
    };
    let mut lines =
        vec![format!("if absent, by {manager}, from the repositories of this machine; nothing is removed")];
    lines.extend(packages.repositories.iter().flat_map(repository));
    lines.push(format!("waits {} for a locked {locked}", packages.wait));
    if let Some(file) = &packages.ca_file {
        lines.push(format!("trusts {file} besides the system's certificates"));
    }
    lines.extend(packages.environment.iter().map(|(name, value)| format!("{name}={}", printable(value))));
    lines
}

fn repository(repository: &PackageRepository) -> Vec<String> {
    let key = repository.key.as_ref();
    let key = key.map(|key| format!("its key from {}, with the SHA-256 {}", key.address, key.sha256));
    let mut lines = vec![format!("also from {}, by {}", repository.name, repository.path.display())];
    lines.extend(key);
    lines.extend(file(&repository.text));
    lines
}
