//! Resolves a start line: through scripts, workspaces and runners, to the program that serves. What it would build first
//! is done when the release is built. Pure.

use std::collections::BTreeMap;

use super::runner::{self, Next, Rewritten};
use super::word::{Words, assignments};
use crate::error::{Code, Error, Result};
use crate::planner::runtime::node::package::Package;
use crate::planner::runtime::node::workspace::Workspaces;
use crate::planner::runtime::shell;
use crate::secret::excerpt;

/// `npm start` may lead to another script, and that to a third; more is a circle.
const MOST_HOPS: usize = 12;

/// A resolved start line.
#[derive(Debug, Default)]
pub struct Resolved {
    pub line: String,
    pub environment: BTreeMap<String, String>,
    /// The workspace in which it runs, relative to the release.
    pub directory: Option<String>,
    /// Commands in front of the program that build what it runs.
    pub builds: Vec<String>,
    /// Commands that npm would run before the scripts, and are not run: `prestart`.
    pub skipped: Vec<String>,
    pub notes: Vec<String>,
}

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

pub struct Project<'a> {
    pub package: &'a Package,
    pub workspaces: &'a Workspaces,
    /// Whether the repository's root has a file.
    pub has: &'a dyn Fn(&str) -> bool,
}

pub fn resolve(line: &str, project: &Project) -> Result<Resolved> {
    let mut resolved = Resolved { line: line.trim().to_owned(), ..Resolved::default() };
    for _ in 0..MOST_HOPS {
        if let Some(parts) = shell::chain(&resolved.line).filter(|parts| parts.len() > 1) {
            if let Some(directory) = project.enters(parts[0], resolved.directory.as_deref()) {
                resolved.directory = Some(directory);
                resolved.line = parts[1..].join(" && ");
                continue;
            }
            let Some((last, before)) = parts.split_last() else { break };
            if !before.iter().all(|part| builds(part, project, 0)) {
                return Ok(resolved);
            }
            let within = resolved.directory.as_deref().map(|directory| format!("cd '{directory}' && "));
            let within = within.unwrap_or_default();
            resolved.builds.extend(before.iter().map(|part| format!("{within}{}", part.trim())));
            resolved.line = last.trim().to_owned();
            continue;
        }
        let line = resolved.line.clone();
        let Some(words) = Words::of(&line) else { return Ok(resolved) };
        let (set, at) = assignments(&words, 0);
        if at >= words.len() || shell::is_of_the_shell(words.raw(at)) {
            return Ok(resolved);
        }
        let rest = words.from(at);
        let Some(words) = Words::of(rest) else { return Ok(resolved) };
        let package = project.package_in(resolved.directory.as_deref());
        let Rewritten { next, environment, note } = runner::rewrite(&words, package, project.has)?;
        match next {
            Next::Stays => return Ok(resolved),
            Next::Line(next) => resolved.line = next,
            Next::Script { name, arguments } => resolved.follow(package, &name, &arguments)?,
            Next::Workspace { workspace, script, arguments } => {
                let Some((directory, package)) = project.workspaces.find(&workspace) else {
                    // npm --prefix names any directory with a package.json.
                    if project.workspaces.iter().next().is_none() {
                        return Ok(resolved);
                    }
                    let cause = format!("there is no workspace \"{}\"", excerpt(&workspace));
                    return Err(invalid(cause));
                };
                resolved.directory = Some(directory.to_owned());
                resolved.follow(package, &script, &arguments)?;
            }
        }
        resolved.environment.extend(set.into_iter().chain(environment));
        resolved.notes.extend(note);
    }
    Err(invalid("its scripts call each other in a circle")
        .remedy("name the program itself: start = \"node server.js\""))
}

impl Project<'_> {
    /// The workspace that `cd DIRECTORY` enters from the root.
    fn enters(&self, part: &str, from: Option<&str>) -> Option<String> {
        let words = Words::of(part).filter(|words| words.len() == 2 && words.text(0) == "cd")?;
        let directory = words.text(1).trim_start_matches("./").trim_end_matches('/');
        (from.is_none() && self.workspaces.at(directory).is_some()).then(|| directory.to_owned())
    }

    fn package_in(&self, directory: Option<&str>) -> &Package {
        directory.and_then(|directory| self.workspaces.at(directory)).unwrap_or(self.package)
    }
}

impl Resolved {
    fn follow(&mut self, package: &Package, name: &str, arguments: &str) -> Result<()> {
        let script = package.script(name).ok_or_else(|| runner::no_script(name))?;
        for hook in [format!("pre{name}"), format!("post{name}")] {
            if package.scripts.contains_key(&hook) {
                self.skipped.push(hook);
            }
        }
        // Only where the package uses them: a service gets its secret's variables, and no others unasked.
        if !package.config.is_empty() || script.contains("npm_package_") {
            self.environment.extend(package.script_variables());
        }
        self.line = format!("{} {arguments}", script.trim()).trim_end().to_owned();
        Ok(())
    }
}

fn invalid(cause: impl Into<String>) -> Error {
    Error::new(Code::ManifestInvalid, "resolving the start command", cause.into())
}

/// Whether a command builds and ends: a compiler, or a script that consists of such commands.
fn builds(line: &str, project: &Project, hops: usize) -> bool {
    let Some(parts) = shell::chain(line) else { return false };
    if parts.len() > 1 {
        return parts.iter().all(|part| builds(part, project, hops));
    }
    let Some(words) = Words::of(line) else { return false };
    let (_, at) = assignments(&words, 0);
    let (program, word) = (words.text(at), words.text(at + 1));
    if BUILDERS.contains(&program) || BUILD_WORDS.contains(&(program, word)) {
        let watches = (at..words.len()).any(|at| matches!(words.text(at), "--watch" | "-w"));
        return !watches;
    }
    let Some(rest) = Words::of(words.from(at)).filter(|_| hops < MOST_HOPS) else { return false };
    match runner::rewrite(&rest, project.package, project.has) {
        // By its name, also if its program is not known.
        Ok(Rewritten { next: Next::Script { name, .. }, .. })
            if name == "build" || name.starts_with("build:") =>
        {
            true
        }
        Ok(Rewritten { next: Next::Script { name, .. }, .. }) => {
            project.package.script(&name).is_some_and(|script| builds(script, project, hops + 1))
        }
        Ok(Rewritten { next: Next::Line(line), .. }) => builds(&line, project, hops + 1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;
    use crate::planner::runtime::node::{package, workspace};

    const PACKAGE: &str = r#"{"scripts": {
        "start": "node server.js", "dev": "npm run dev", "prod": "npm start", "set": "B=3 npm start",
        "quoted": "node 'server.js'", "prequoted": "x", "build": "tsc && node build.js", "make": "tsc -p .",
        "both": "run-s build start", "all": "npm run make && npm run build && npm start"
    }, "devDependencies": {"tsx": "4"}}"#;

    fn resolved(line: &str) -> Result<Resolved> {
        let package = package::parse("package.json", PACKAGE).unwrap();
        let workspaces = Workspaces::default();
        resolve(
            line,
            &Project { package: &package, workspaces: &workspaces, has: &|path| path == ".env.prod" },
        )
    }

    fn line(of: &str) -> String {
        resolved(of).unwrap().line
    }

    #[test]
    fn a_package_manager_makes_room_for_the_service() {
        for start in [
            "npm run prod",
            "npm start",
            "npm run -s prod",
            "npm --silent start",
            "exec npm start",
            "npm start --",
            "yarn start",
            "yarn prod",
            "pnpm run prod",
            "pnpm start",
            "bun run start",
            "yarn run start",
            "npm exec -- node server.js",
        ] {
            assert_eq!(line(start), "node server.js", "{start}");
        }
        assert_eq!(line("npm start -- --flag a"), "node server.js --flag a");
        assert_eq!(line("npm run quoted"), "node 'server.js'");
        assert_eq!(resolved("npm run quoted").unwrap().skipped, ["prequoted"]);
        assert_eq!(line("yarn next start"), "next start");
        let set = resolved("A=1 B=2 npm run set").unwrap();
        assert_eq!(set.line, "node server.js");
        assert_eq!(set.environment, [("A", "1"), ("B", "3")].map(|(n, v)| (n.into(), v.into())).into());
    }

    #[test]
    fn runners_make_room_too() {
        for (start, program) in [
            ("cross-env NODE_ENV=production PORT=3 node x.js", "node x.js"),
            ("dotenv -e .env -- node x.js", "node x.js"),
            ("dotenvx run -- node x.js", "node x.js"),
            ("env-cmd node x.js", "node x.js"),
            ("npx --yes node x.js", "node x.js"),
            ("pnpm exec node x.js", "node x.js"),
            ("nodemon x.js", "node x.js"),
            ("nodemon -w src -e ts,json src/index.ts", "tsx src/index.ts"),
            ("nodemon --exec 'tsx src/index.ts'", "tsx src/index.ts"),
            ("node --watch --env-file=.env x.js", "node --env-file=.env x.js"),
            ("tsx watch src/index.ts", "tsx src/index.ts"),
        ] {
            assert_eq!(line(start), program, "{start}");
        }
        for start in [
            "dotenv -e .env.prod -- node x.js",
            "env-cmd -f config/prod.env node x.js",
            "npm --foo start",
            "npm --prefix . start",
            "turbo start",
        ] {
            assert_eq!(line(start), start);
        }
        assert_eq!(resolved("cross-env A=1 node x").unwrap().environment["A"], "1");
        assert_eq!(resolved("nodemon x.js").unwrap().notes.len(), 1);
    }

    #[test]
    fn each_package_managers_words_for_a_workspace_lead_to_it() {
        let files =
            [("apps/api/package.json", r#"{"name": "@acme/api", "scripts": {"start": "node api.js"}}"#)];
        let package = package::parse("package.json", r#"{"workspaces": ["apps/*"]}"#).unwrap();
        let workspaces = workspace::workspaces(&source(&files), &package, &[]).unwrap();
        let project = Project { package: &package, workspaces: &workspaces, has: &|_| false };
        for manager in ["npm", "yarn", "pnpm", "bun"] {
            let resolved = resolve(&workspaces.start_of("apps/api", manager), &project).unwrap();
            assert_eq!(
                (resolved.line.as_str(), resolved.directory.as_deref()),
                ("node api.js", Some("apps/api"))
            );
        }
        for start in ["bun run --filter '*' start", "bun --filter '@acme/*' start"] {
            assert_eq!(resolve(start, &project).unwrap().line, start);
        }
        assert!(resolve("bun --filter other start", &project).is_err());
    }

    #[test]
    fn what_builds_first_is_built_with_the_release() {
        for (start, builds) in [
            ("tsc && node dist/x.js", &["tsc"][..]),
            ("npm run build && node dist/x.js", &["npm run build"]),
            ("npm run both", &["npm run build"]),
            ("npm run all", &["npm run make", "npm run build"]),
            ("rimraf dist && tsc -p . && node dist/x.js", &["rimraf dist", "tsc -p ."]),
        ] {
            assert_eq!(resolved(start).unwrap().builds, builds, "{start}");
        }
        for start in [
            "prisma migrate deploy && node x.js",
            "tsc --watch && node x.js",
            "tsc | tee log",
            "node a.js && node b.js",
        ] {
            let resolved = resolved(start).unwrap();
            assert!(resolved.builds.is_empty() && resolved.line == start, "{start}: {resolved:?}");
        }
    }

    #[test]
    fn circles_missing_scripts_and_unlocked_packages_are_errors() {
        for (start, says) in [
            ("npm run dev", "circle"),
            ("npm run other", "no script"),
            ("npx serve@14 -s build", "no lockfile names"),
            ("npx -p x y", "no lockfile names"),
            ("npx", "no lockfile names"),
            ("pnpm dlx serve", "no lockfile names"),
        ] {
            let error = resolved(start).unwrap_err().to_string();
            assert!(error.contains(says), "{start}: {error}");
        }
    }
}
