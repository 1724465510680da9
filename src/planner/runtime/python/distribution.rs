//! Which Python a distribution has, and what its packages are called.

use crate::facts::Machine;

/// Distributions whose packages can be installed, with the version of their `python3`.
const DEFAULT: &[(&str, &str, &str)] = &[
    ("debian", "11", "3.9"),
    ("debian", "12", "3.11"),
    ("debian", "13", "3.13"),
    ("ubuntu", "20.04", "3.8"),
    ("ubuntu", "22.04", "3.10"),
    ("ubuntu", "24.04", "3.12"),
];

/// The version of `python3`, where it is known.
pub fn default(machine: &Machine) -> Option<&'static str> {
    let here = |(os, version, _): &&(&str, &str, &str)| *os == machine.os && *version == machine.version;
    DEFAULT.iter().find(here).map(|(_, _, python)| *python)
}

/// The package with which this line of Python makes virtual environments.
pub fn venv_package(machine: &Machine, line: &str) -> String {
    match default(machine) == Some(line) {
        true => "python3-venv".to_owned(),
        false => format!("python{line}-venv"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_the_distributions_names() {
        let debian = Machine { os: "debian".into(), version: "12".into(), ..Machine::default() };
        assert_eq!(default(&debian), Some("3.11"));
        assert_eq!(venv_package(&debian, "3.11"), "python3-venv");
        assert_eq!(venv_package(&debian, "3.9"), "python3.9-venv");
        let amazon = Machine { os: "amzn".into(), version: "2023".into(), ..Machine::default() };
        assert_eq!(default(&amazon), None);
    }
}
