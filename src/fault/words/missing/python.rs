//! The same for what Python says. Pure.

use super::{Of, is_harmless};
use crate::fault::words::reason;

/// Modules of setuptools, which Python and setuptools itself do not have any more.
const OF_FORMER_SETUPTOOLS: [&str; 2] = ["pkg_resources", "distutils"];

/// `ModuleNotFoundError: No module named 'psycopg2.extras'`
pub fn module(reason: &str, of: Of) -> Option<String> {
    let rest = reason.split_once("No module named '")?.1;
    let name = rest.split('\'').next().filter(|name| is_harmless(name))?;
    let name = name.split('.').next().filter(|name| !name.is_empty())?;
    let advice = match (OF_FORMER_SETUPTOOLS.contains(&name), of) {
        // node-gyp, or a package's own setup.py.
        (true, Of::Command) => format!(
            "what is built here needs {name} of a former version of setuptools: use a newer version of the package, or add \
             packages = [\"python3-setuptools\"] to bootagent.toml"
        ),
        (true, Of::Service) => {
            format!(
                "{name} is a module of former versions of setuptools: add \"setuptools<81\" to the dependencies"
            )
        }
        (false, _) => format!(
            "{name} is not installed: if it is of a package, add that to the dependencies and not only to a group for \
             development; if the repository has it in a directory that is not the root, PYTHONPATH = \"DIRECTORY\" in \
             env.values of bootagent.toml names it"
        ),
    };
    Some(format!("{advice}; then: bootagent update"))
}

/// `os.environ["SECRET_KEY"]` without that variable.
pub fn is_key_of_the_environment(reason: &str) -> bool {
    // `KeyError: 'USD'` is of a table of the service's own.
    let has_two_words = reason.contains('_') || reason.contains("'PORT'") || reason.contains("'TOKEN'");
    reason.starts_with("KeyError: '") && has_two_words && !reason::variables(reason).is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::{Of, remedy};

    #[test]
    fn a_missing_module_is_of_a_package_or_of_another_directory() {
        for (reason, words) in [
            (
                "ModuleNotFoundError: No module named 'psycopg2'",
                "psycopg2 is not installed: if it is of a package",
            ),
            (
                "ModuleNotFoundError: No module named 'shop.models'; 'shop' is not a package",
                "shop is not installed",
            ),
            ("ModuleNotFoundError: No module named 'pkg_resources'", "\"setuptools<81\""),
        ] {
            let found = remedy(reason, Of::Service).unwrap_or_default();
            assert!(found.contains(words), "{reason}: {found}");
        }
        for reason in
            ["No module named ''", "No module named '$(id)'", "No module named '.x'", "No module named "]
        {
            assert_eq!(remedy(reason, Of::Service), None, "{reason}");
        }
    }
}
