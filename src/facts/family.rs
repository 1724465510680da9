//! The families of distributions that bootagent knows, by os-release, and what installs their packages. Data only.

use serde::Serialize;

use super::Machine;

/// Distributions with the same names of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu, and what calls itself like them.
    Debian,
    /// Amazon Linux 2023 and later.
    Amazon,
    /// RHEL 9 and later (RHEL 8 has systemd 239), its rebuilds, and Fedora.
    Rhel,
}

/// The program that installs packages of the distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageManager {
    Apt,
    Dnf,
}

impl PackageManager {
    pub fn name(self) -> &'static str {
        match self {
            PackageManager::Apt => "apt",
            PackageManager::Dnf => "dnf",
        }
    }
}

impl Machine {
    /// `None` for others, and for those whose package manager bootagent does not know: Amazon Linux 2 and RHEL before 9.
    pub fn family(&self) -> Option<Family> {
        let is = |id: &str| self.os == id || self.like.split_whitespace().any(|like| like == id);
        match self.os.as_str() {
            "amzn" => (self.major() >= 2023).then_some(Family::Amazon),
            _ if is("debian") || is("ubuntu") => Some(Family::Debian),
            "fedora" => Some(Family::Rhel),
            _ if is("rhel") || is("centos") || is("fedora") => (self.major() >= 9).then_some(Family::Rhel),
            _ => None,
        }
    }

    /// `None` if bootagent can install no package here.
    pub fn package_manager(&self) -> Option<PackageManager> {
        self.family().map(|family| match family {
            Family::Debian => PackageManager::Apt,
            Family::Amazon | Family::Rhel => PackageManager::Dnf,
        })
    }

    /// The first number of the version: 9 of `9.4`. 0 if it has none.
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(os: &str, like: &str, version: &str) -> Option<Family> {
        let (os, like, version) = (os.to_owned(), like.to_owned(), version.to_owned());
        Machine { os, like, version, ..Machine::default() }.family()
    }

    #[test]
    fn a_family_is_known_by_os_release() {
        assert_eq!(of("debian", "", "12"), Some(Family::Debian));
        assert_eq!(of("linuxmint", "ubuntu debian", "22"), Some(Family::Debian));
        assert_eq!(of("amzn", "fedora", "2023"), Some(Family::Amazon));
        assert_eq!(of("rhel", "fedora", "9.4"), Some(Family::Rhel));
        assert_eq!(of("rocky", "rhel centos fedora", "9.4"), Some(Family::Rhel));
        assert_eq!(of("fedora", "", "41"), Some(Family::Rhel));
    }

    #[test]
    fn others_have_no_package_manager_here() {
        for (os, like, version) in [
            ("amzn", "centos rhel fedora", "2"),
            ("amzn", "rhel fedora", "2018.03"),
            ("rhel", "fedora", "7.9"),
            ("centos", "rhel fedora", "7"),
            ("rocky", "rhel centos fedora", "8.10"),
            ("alpine", "", "3.20"),
            ("sles", "suse", "15.6"),
            ("", "", ""),
        ] {
            assert_eq!(of(os, like, version), None, "{os} {version}");
        }
    }
}
