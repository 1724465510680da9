//! The files of the policy's signed repositories, for apt and for dnf. Pure.

use crate::facts::PackageManager;
use crate::observe::Selection;
use crate::plan::{PackageRepository, RepositoryKey};

/// The repositories of the machine's package manager.
pub fn of(manager: PackageManager, selection: &Selection) -> Vec<PackageRepository> {
    match manager {
        PackageManager::Apt => apt(selection),
        PackageManager::Dnf => dnf(selection),
    }
}

/// Each has a key of its own, and apt takes nothing from it that another key signed.
fn apt(selection: &Selection) -> Vec<PackageRepository> {
    let all = selection.packages.apt.iter().map(|(name, words)| {
        let key = words.key_sha256.as_ref().map(|sha256| RepositoryKey {
            address: words.key.clone(),
            sha256: sha256.clone(),
            setting: format!("apt.{name}.key_sha256"),
            path: format!("/etc/apt/keyrings/bootagent-{name}.asc").into(),
            network: selection.network.clone(),
        });
        let signed_by = key.as_ref().map_or_else(|| words.key.clone(), |key| key.path.display().to_string());
        let mut text = format!(
            "# Written by bootagent, as apt.{name} of the policy says; do not edit.\nTypes: deb\nURIs: {}\nSuites: {}\n",
            words.url, words.suite
        );
        if !words.components.is_empty() {
            text.push_str(&format!("Components: {}\n", words.components.join(" ")));
        }
        text.push_str(&format!("Signed-By: {signed_by}\n"));
        let path = format!("/etc/apt/sources.list.d/bootagent-{name}.sources").into();
        PackageRepository { name: name.clone(), path, text, key }
    });
    all.collect()
}

/// Every package must be signed. A repository that cannot be reached is an error: dnf would go on without it, and say that
/// there is no such package.
fn dnf(selection: &Selection) -> Vec<PackageRepository> {
    let all = selection.packages.dnf.iter().map(|(name, words)| {
        let key = words.gpgkey_sha256.as_ref().map(|sha256| RepositoryKey {
            address: words.gpgkey.clone(),
            sha256: sha256.clone(),
            setting: format!("dnf.{name}.gpgkey_sha256"),
            path: format!("/etc/pki/rpm-gpg/bootagent-{name}.asc").into(),
            network: selection.network.clone(),
        });
        let signed_by =
            key.as_ref().map_or_else(|| words.gpgkey.clone(), |key| key.path.display().to_string());
        let text = format!(
            "# Written by bootagent, as dnf.{name} of the policy says; do not edit.
[bootagent-{name}]
name=bootagent-{name}
baseurl={}
enabled=1
gpgcheck=1
repo_gpgcheck={}
gpgkey=file://{signed_by}
skip_if_unavailable=0
",
            words.baseurl,
            u8::from(words.repo_gpgcheck),
        );
        let path = format!("/etc/yum.repos.d/bootagent-{name}.repo").into();
        PackageRepository { name: name.clone(), path, text, key }
    });
    all.collect()
}
