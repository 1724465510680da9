//! Whether a command of a start line only builds or installs: that is done once, with the release. Pure.

use std::collections::BTreeMap;

use super::project::Project;
use super::rewritten::{Next, Rewritten};
use super::runner;
use super::word::{Words, assignments};
use crate::planner::runtime::shell;

/// Scripts that call scripts that call scripts; more is a circle.
const MOST_HOPS: usize = 12;

/// Programs that compile or generate, and end.
const BUILDERS: &[&str] = &[
    "tsc",
    "tsup",
    "swc",
    "babel",
    "webpack",
    "rollup",
    "esbuild",
    "tspc",
    "ttsc",
    "tsc-alias",
    "vue-tsc",
    "tsdown",
    "unbuild",
    "microbundle",
    "tsoa",
    "rimraf",
    "del",
    "del-cli",
    "rm",
    "mkdirp",
    "mkdir",
    "cp",
    "cpx",
    "copyfiles",
    "ncp",
    "shx",
    "sass",
    "node-sass",
    "lessc",
    "postcss",
    "tailwindcss",
    "apidoc",
    "typedoc",
    "svgo",
    "graphql-codegen",
    "patch-package",
];
/// The same for programs that also serve, with the word that makes them build.
const BUILD_WORDS: &[(&str, &str)] = &[
    ("next", "build"),
    ("vite", "build"),
    ("nest", "build"),
    ("nuxt", "build"),
    ("nuxi", "build"),
    ("remix", "build"),
    ("remix", "vite:build"),
    ("astro", "build"),
    ("strapi", "build"),
    ("react-scripts", "build"),
    ("ng", "build"),
    ("prisma", "generate"),
    ("react-router", "build"),
    ("gatsby", "build"),
    ("bun", "build"),
    ("turbo", "build"),
    ("nx", "build"),
    ("grunt", "build"),
    ("gulp", "build"),
    ("parcel", "build"),
    ("ncc", "build"),
    ("lingui", "compile"),
];

/// Programs that change a database's schema, and end.
const MIGRATIONS: &[&str] = &[
    "prisma",
    "knex",
    "sequelize",
    "sequelize-cli",
    "typeorm",
    "drizzle-kit",
    "node-pg-migrate",
    "db-migrate",
    "mikro-orm",
];

/// Whether a command that runs at each start migrates: by its program, or by the name of its script.
pub fn is_migration(line: &str) -> bool {
    let Some(words) = Words::of(line) else { return false };
    let (program, rest) = called(&words);
    MIGRATIONS.contains(&program)
        || matches!(program, "npm" | "yarn" | "pnpm" | "bun")
            && rest.iter().any(|name| name.contains("migrat"))
}

/// Whether a command changes a database's schema: `prisma migrate deploy`, and not `prisma generate`.
pub fn migrates(line: &str) -> bool {
    let Some(words) = Words::of(line) else { return false };
    let (program, rest) = called(&words);
    MIGRATIONS.contains(&program) && rest.iter().any(|word| word.contains("migrat") || *word == "push")
}

/// The program of a command, also behind `npx`, and the two words behind it.
fn called<'a>(words: &'a Words) -> (&'a str, [&'a str; 2]) {
    let (_, at) = assignments(words, 0);
    let at = if matches!(words.text(at), "npx" | "pnpx" | "bunx") { at + 1 } else { at };
    (words.text(at), [words.text(at + 1), words.text(at + 2)])
}

/// What is known of scripts, by workspace and name. Without it, scripts that call the next one twice take exponential time.
#[derive(Default)]
pub struct Builders(BTreeMap<(Option<String>, String), bool>);

impl Builders {
    /// Whether a command builds and ends: a compiler, or a script that consists of such commands.
    pub fn builds(&mut self, line: &str, directory: Option<&str>, project: &Project) -> bool {
        self.within(line, directory, project, 0)
    }

    fn within(&mut self, line: &str, directory: Option<&str>, project: &Project, hops: usize) -> bool {
        let line = unless_there(line);
        let Some(parts) = shell::chain(line).filter(|_| hops < MOST_HOPS) else { return false };
        if parts.len() > 1 {
            return parts.iter().all(|part| self.within(part, directory, project, hops + 1));
        }
        if compiles(line) || installs(line) {
            return true;
        }
        let Some(words) = Words::of(line) else { return false };
        let (_, at) = assignments(&words, 0);
        let Some(rest) = Words::of(words.from(at)) else { return false };
        match runner::rewrite(&rest, &project.place(directory)) {
            // By its name, also if its program is not known.
            Ok(Rewritten { next: Next::Script { name, .. }, .. })
                if name == "build" || name.starts_with("build:") =>
            {
                true
            }
            Ok(Rewritten { next: Next::Script { name, .. }, .. }) => {
                self.script(&name, directory, project, hops)
            }
            Ok(Rewritten { next: Next::Line(line), .. }) => self.within(&line, directory, project, hops + 1),
            _ => false,
        }
    }

    fn script(&mut self, name: &str, directory: Option<&str>, project: &Project, hops: usize) -> bool {
        let key = (directory.map(str::to_owned), name.to_owned());
        if let Some(known) = self.0.get(&key) {
            return *known;
        }
        // A script that calls itself builds nothing.
        self.0.insert(key.clone(), false);
        let line = project.package_in(directory).script(name);
        let builds = line.is_some_and(|line| self.within(line, directory, project, hops + 1));
        self.0.insert(key, builds);
        builds
    }
}

/// What makes a file that is not there: `cp a b` of `test -f b || cp a b`. Any other line as it is.
fn unless_there(line: &str) -> &str {
    const EXISTS: &[&str] = &["-f", "-e", "-d", "-s"];
    let Some((condition, make)) = line.split_once("||") else { return line };
    let Some(words) = Words::of(condition.trim()) else { return line };
    let texts: Vec<&str> = (0..words.len()).map(|at| words.text(at)).collect();
    match texts.as_slice() {
        ["test", exists, _] | ["[", exists, _, "]"] if EXISTS.contains(exists) => make.trim(),
        _ => line,
    }
}

fn compiles(line: &str) -> bool {
    let Some(words) = Words::of(line) else { return false };
    let (_, at) = assignments(&words, 0);
    let (program, word) = (words.text(at), words.text(at + 1));
    let serves = |at: usize| matches!(words.text(at), "--watch" | "-w" | "serve" | "--serve");
    (BUILDERS.contains(&program) || BUILD_WORDS.contains(&(program, word))) && !(at..words.len()).any(serves)
}

/// Whether a package manager installs what the project names, which the installation of the release did.
pub fn installs(line: &str) -> bool {
    const INSTALL: &[&str] = &["ci", "install", "i", "clean-install"];
    let Some(words) = Words::of(line) else { return false };
    let (_, at) = assignments(&words, 0);
    let rest: Vec<&str> = (at + 1..words.len()).map(|at| words.text(at)).collect();
    let of_the_project = rest.iter().skip(1).all(|word| word.starts_with('-'));
    match (words.text(at), rest.first()) {
        ("yarn", None) => true,
        ("npm" | "pnpm" | "yarn" | "bun", Some(first)) => INSTALL.contains(first) && of_the_project,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_made() {
        for (line, makes) in [
            (
                "test -f src/config.js || cp src/config.template.js src/config.js",
                "cp src/config.template.js src/config.js",
            ),
            ("[ -e .env ] || cp .env.example .env", "cp .env.example .env"),
            ("test -d data||mkdir data", "mkdir data"),
            ("test -f a || cp b a || true", "cp b a || true"),
        ] {
            assert_eq!(unless_there(line), makes);
        }
        for line in [
            "node a.js || cp a b",
            "test -n x || cp a b",
            "test -f a && cp a b",
            "test a || cp a b",
            "cp a b",
        ] {
            assert_eq!(unless_there(line), line);
        }
    }

    #[test]
    fn an_installation_of_the_project_adds_no_package() {
        for line in
            ["npm ci", "npm install --omit=dev", "yarn", "A=1 pnpm i", "yarn install --frozen-lockfile"]
        {
            assert!(installs(line), "{line}");
        }
        for line in ["npm install express", "npm run ci", "npm", "yarn add x", "npx install", "npm ci && x"] {
            assert!(!installs(line), "{line}");
        }
    }
}
