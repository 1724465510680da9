//! Messages of node-gyp, which compiles addons for Node: what it lacks, and the OS packages that contain that. Pure.

use super::reason::own_of;
use super::{Complaint, Fault, compilers, missing};
use crate::secret::{ForeignText, Message};

/// What node-gyp needs for every addon. Named together, since one by one each attempt would fail for the next one.
const ALL: [&str; 3] = ["g++", "make", "python3"];

/// Words of a message, and what is missing.
const TOOLS: &[(&str, &str)] = &[
    ("Could not find any Python installation", "Python"),
    ("not found: make", "make"),
    ("g++: No such file or directory", "a C++ compiler"),
    ("c++: No such file or directory", "a C++ compiler"),
    ("gcc: No such file or directory", "a C compiler"),
    ("cc: No such file or directory", "a C compiler"),
    ("g++: not found", "a C++ compiler"),
    ("c++: not found", "a C++ compiler"),
    ("cc: not found", "a C compiler"),
];

pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    if !lines.iter().any(|line| line.says("gyp ERR!")) {
        return None;
    }
    let of_tool = TOOLS.iter().find_map(|(words, what)| {
        lines.iter().find(|line| line.says(words) && !line.says("WARN")).map(|line| (*what, line))
    });
    let (what, line, packages) = match of_tool {
        Some((what, line)) => (what, line, ALL.to_vec()),
        None => {
            let (what, package, line) = compilers::missing(lines)?;
            (what, line, [&ALL[..], &[package]].concat())
        }
    };
    let cause = Message::from(format!("node-gyp, which compiles an addon of a package, needs {what}: "));
    let cause = cause.and(own_of(line));
    let mut complaint = Complaint::new(Fault::InstallFailed, cause);
    complaint.remedy = Some(format!(
        "add {} to bootagent.toml (or use a version of the package that has a compiled addon for this Node); then: bootagent update",
        missing::packages(&packages)
    ));
    Some(complaint)
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    /// As npm 10 prints what node-gyp 11 prints.
    #[test]
    fn a_missing_tool_is_named_and_the_remedy_has_all_of_them() {
        for (said, names) in [
            (
                "npm error gyp WARN install got an error, rolling back install\nnpm error gyp ERR! stack Error: not found: make\n\
                 npm error gyp ERR! stack at getNotFoundError (/x/which.js:16:17)",
                "needs make: Error: not found: make",
            ),
            (
                "npm error gyp ERR! stack Error: Could not find any Python installation to use",
                "needs Python: Error: Could not find any",
            ),
            (
                "npm error make: g++: No such file or directory\nnpm error gyp ERR! stack Error: `make` failed with exit code: 2",
                "needs a C++ compiler: make: g++: No such",
            ),
        ] {
            let (fault, cause, remedy) = read(complaint, said).unwrap_or_else(|| panic!("{said}"));
            assert_eq!(fault, Fault::InstallFailed);
            assert!(cause.contains(names), "{said}: {cause}");
            assert!(remedy.contains(r#"packages = ["g++", "make", "python3"]"#), "{remedy}");
        }
        let header =
            "../src/x.cc:1:10: fatal error: libpq-fe.h: No such file or directory\ngyp ERR! build error";
        let (_, cause, remedy) = read(complaint, header).unwrap();
        assert!(
            cause.contains("libpq-fe.h") && remedy.contains(r#""python3", "libpq-dev"]"#),
            "{cause} {remedy}"
        );
    }

    #[test]
    fn other_failures_are_not_a_missing_tool() {
        for said in [
            "make: g++: No such file or directory",
            "gyp ERR! stack FetchError: request to https://n.test/x failed",
            "../addon.c:3:1: error: unknown type name 'x'\ngyp ERR! build error",
            "",
        ] {
            assert!(read(complaint, said).is_none(), "{said}");
        }
    }
}
