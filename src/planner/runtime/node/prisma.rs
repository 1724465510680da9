//! Whether a build generates Prisma's client first. Pure.

use std::collections::BTreeSet;

use super::package::Package;
use crate::facts::{Evidence, Source};

pub const SCHEMA: &str = "prisma/schema.prisma";

/// Scripts that an installation, a build or a start by convention runs.
const RUN: &[&str] = &[
    "preinstall",
    "install",
    "postinstall",
    "prepare",
    "heroku-prebuild",
    "heroku-postbuild",
    "prebuild",
    "build",
    "postbuild",
    "prestart",
    "start",
];

/// Prisma's client is generated from the schema, by its program, or by a hook of its package that hides every failure
/// and that neither Prisma 7 nor an installation without install scripts has. A script such as `db:generate` that only
/// a developer calls generates nothing here.
pub fn generates_client(source: &Source, package: &Package) -> bool {
    let is_there = |path| matches!(source.evidence_of(path), Evidence::Text(_) | Evidence::Unread(_));
    package.has("prisma") && package.has("@prisma/client") && is_there(SCHEMA) && !a_script_does(package)
}

/// Whether one of the scripts that are run, or one that these name, has the command. A script that is taken for called
/// and is not leaves the client to the package's hook, as before.
fn a_script_does(package: &Package) -> bool {
    let mut next: Vec<&str> = RUN.to_vec();
    let mut seen = BTreeSet::new();
    while let Some(name) = next.pop() {
        let Some(line) = package.script(name).filter(|_| seen.insert(name)) else { continue };
        if line.contains("prisma generate") {
            return true;
        }
        next.extend(package.scripts.keys().map(String::as_str).filter(|other| names(line, other)));
    }
    false
}

/// Whether a line has a word that calls a script: `db:generate`, or `db:*`.
fn names(line: &str, script: &str) -> bool {
    let of_other = |c: char| c.is_whitespace() || "'\"&|;()".contains(c);
    line.split(of_other).any(|word| match word.strip_suffix('*') {
        Some(begin) => !begin.is_empty() && script.starts_with(begin),
        None => word == script,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::runtime::node::package;

    #[track_caller]
    fn does(scripts: &str) -> bool {
        a_script_does(&package::parse("package.json", &format!(r#"{{"scripts": {{{scripts}}}}}"#)).unwrap())
    }

    #[test]
    fn a_script_that_a_build_runs_or_calls_generates_the_client() {
        for scripts in [
            r#""build": "prisma generate && next build""#,
            r#""postinstall": "npx prisma generate --schema=prisma/schema.prisma""#,
            r#""build": "npm run db:generate && tsc", "db:generate": "prisma generate""#,
            r#""build": "run-s 'db:*' compile", "db:client": "prisma generate", "compile": "tsc""#,
            r#""build": "yarn a", "a": "yarn b", "b": "yarn a && prisma generate""#,
            r#""prestart": "prisma generate", "start": "node x.js""#,
        ] {
            assert!(does(scripts), "{scripts}");
        }
    }

    #[test]
    fn a_script_that_only_a_developer_calls_does_not() {
        for scripts in [
            r#""setup": "prisma generate && prisma migrate deploy", "build": "remix build""#,
            r#""db:generate": "prisma generate", "build": "next build", "start": "next start""#,
            r#""build": "yarn a", "a": "yarn build", "dev": "prisma generate && tsx watch x.ts""#,
            r#""start": "node x.js""#,
        ] {
            assert!(!does(scripts), "{scripts}");
        }
    }
}
