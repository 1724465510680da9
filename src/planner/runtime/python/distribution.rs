//! Which Pythons a distribution has, and what its packages are called.

use crate::facts::{Family, Machine};

/// The Pythons of a distribution whose packages can be installed.
struct Pythons {
    /// `rhel` stands for its rebuilds as well.
    os: &'static str,
    version: &'static str,
    /// The version of its `python3`.
    default: &'static str,
    /// Those beside it, as packages of their own such as `python3.11`; the newest first.
    beside: &'static [&'static str],
}

const fn of(
    os: &'static str,
    version: &'static str,
    default: &'static str,
    beside: &'static [&'static str],
) -> Pythons {
    Pythons { os, version, default, beside }
}

const TABLE: &[Pythons] = &[
    of("debian", "11", "3.9", &[]),
    of("debian", "12", "3.11", &[]),
    of("debian", "13", "3.13", &[]),
    of("ubuntu", "20.04", "3.8", &[]),
    of("ubuntu", "22.04", "3.10", &[]),
    of("ubuntu", "24.04", "3.12", &[]),
    of("amzn", "2023", "3.9", &["3.13", "3.12", "3.11"]),
    of("rhel", "9", "3.9", &["3.12", "3.11"]),
    of("rhel", "10", "3.12", &[]),
];

fn here(machine: &Machine) -> Option<&'static Pythons> {
    let is_rhel = machine.family() == Some(Family::Rhel) && machine.os != "fedora";
    let (os, version) = match is_rhel {
        // A minor release has the same.
        true => ("rhel", machine.major().to_string()),
        false => (machine.os.as_str(), machine.version.split('.').next().unwrap_or_default().to_owned()),
    };
    let is_it = |row: &&Pythons| row.os == os && (row.version == version || row.version == machine.version);
    TABLE.iter().find(is_it)
}

/// The version of `python3`, where it is known.
pub fn default(machine: &Machine) -> Option<&'static str> {
    here(machine).map(|row| row.default)
}

/// The versions that its packages can install, that of `python3` first.
pub fn lines(machine: &Machine) -> impl Iterator<Item = &'static str> {
    here(machine).into_iter().flat_map(|row| std::iter::once(row.default).chain(row.beside.iter().copied()))
}

/// The package of this line of Python.
pub fn package(machine: &Machine, line: &str) -> String {
    if default(machine) == Some(line) { "python3".to_owned() } else { format!("python{line}") }
}

/// The package with which this line of Python makes virtual environments; by Debian's name.
pub fn venv_package(machine: &Machine, line: &str) -> String {
    match default(machine) == Some(line) {
        true => "python3-venv".to_owned(),
        false => format!("python{line}-venv"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(os: &str, like: &str, version: &str) -> Machine {
        Machine { os: os.into(), like: like.into(), version: version.into(), ..Machine::default() }
    }

    #[test]
    fn packages_have_the_distributions_names() {
        let debian = machine("debian", "", "12");
        assert_eq!(default(&debian), Some("3.11"));
        assert_eq!(venv_package(&debian, "3.11"), "python3-venv");
        assert_eq!(venv_package(&debian, "3.9"), "python3.9-venv");
        assert_eq!(default(&machine("ubuntu", "debian", "22.04")), Some("3.10"));
        assert_eq!(default(&machine("alpine", "", "3.20")), None);
    }

    #[test]
    fn amazon_linux_and_rhel_have_several() {
        let amazon = machine("amzn", "fedora", "2023");
        assert_eq!(lines(&amazon).collect::<Vec<_>>(), ["3.9", "3.13", "3.12", "3.11"]);
        assert_eq!(
            (package(&amazon, "3.9"), package(&amazon, "3.11")),
            ("python3".into(), "python3.11".into())
        );
        let rocky = machine("rocky", "rhel centos fedora", "9.4");
        assert_eq!(default(&rocky), Some("3.9"));
        assert_eq!(default(&machine("fedora", "", "9")), None);
    }
}
