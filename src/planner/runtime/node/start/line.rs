//! Resolves a start line: through scripts, workspaces and runners, to the program that serves. What it would build first
//! is done when the release is built. Pure.

use std::collections::BTreeMap;

use super::builder::{self, Builders};
use super::project::{Place, Project};
use super::rewritten::{Next, Rewritten};
use super::runner;
use super::word::{Words, assignments};
use crate::error::{Code, Error, Result};
use crate::planner::runtime::node::package::Package;
use crate::planner::runtime::shell;
use crate::secret::excerpt;

/// `npm start` may lead to another script, and that to a third; more is a circle.
const MOST_HOPS: usize = 12;

/// A resolved start line.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The program's own line.
    pub line: String,
    /// Commands in front of it that run at each start: migrations.
    pub before: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// The workspace in which it runs, relative to the release.
    pub directory: Option<String>,
    /// Commands in front of the program that build what it runs.
    pub builds: Vec<String>,
    /// Commands that npm would run before the scripts, and are not run: `prestart`.
    pub skipped: Vec<String>,
    pub notes: Vec<String>,
}

pub fn resolve(line: &str, project: &Project) -> Result<Resolved> {
    let mut resolved = Resolved { line: line.trim().to_owned(), ..Resolved::default() };
    let mut builders = Builders::default();
    for _ in 0..MOST_HOPS {
        if let Some(parts) = shell::chain(&resolved.line).filter(|parts| parts.len() > 1) {
            let parts: Vec<String> = parts.into_iter().map(str::to_owned).collect();
            match resolved.enter(&parts, &mut builders, project)? {
                true => continue,
                false => return Ok(resolved),
            }
        }
        if !resolved.step(&mut builders, project)? {
            return Ok(resolved);
        }
    }
    Err(invalid("its scripts call each other in a circle")
        .remedy("name the program itself: start = \"node server.js\""))
}

impl Resolved {
    /// The whole line, with the commands that run at each start in front of the program.
    pub fn whole(&self) -> String {
        let parts = self.before.iter().map(String::as_str).chain([self.line.as_str()]);
        parts.collect::<Vec<_>>().join(" && ")
    }

    /// The first commands of `a && b && c` are done with the release, if they build; others stay in front of the program.
    /// False if a command is the shell's own, such as that for a directory: then the line stays as it is.
    fn enter(&mut self, parts: &[String], builders: &mut Builders, project: &Project) -> Result<bool> {
        let Some((last, first)) = parts.split_last() else { return Ok(false) };
        for (at, part) in first.iter().enumerate() {
            let directory = self.directory.clone();
            let directory = directory.as_deref();
            let entered = project.enters(part, directory).filter(|_| self.before.is_empty());
            // A variable may be one of the secret's, which no build sees.
            // What is built behind a migration needs nothing of it, and could not write to the release at the start.
            let is_built = !part.contains('$') && self.before.iter().all(|line| builder::is_migration(line));
            if entered.is_some() {
                self.directory = entered;
            } else if is_of_the_shell(part) {
                self.line = parts[at..].join(" && ");
                return Ok(false);
            } else if is_built && builders.builds(part, directory, project) {
                self.build(part);
            } else {
                self.before.push(without_npx(part, &project.place(directory))?);
            }
        }
        self.line.clone_from(last);
        Ok(true)
    }

    fn build(&mut self, part: &str) {
        if builder::installs(part) {
            return;
        }
        let within = self.directory.as_deref().map(|directory| format!("cd '{directory}' && "));
        self.builds.push(format!("{}{}", within.unwrap_or_default(), part.trim()));
    }

    /// One step of the program's own line. False if it is resolved.
    fn step(&mut self, builders: &mut Builders, project: &Project) -> Result<bool> {
        let line = self.line.clone();
        let Some(words) = Words::of(&line) else { return Ok(false) };
        let (set, at) = assignments(&words, 0);
        if at >= words.len() || shell::is_of_the_shell(words.raw(at)) {
            return Ok(false);
        }
        let Some(words) = Words::of(words.from(at)) else { return Ok(false) };
        let directory = self.directory.clone();
        let package = project.package_in(directory.as_deref());
        let Rewritten { next, environment, note } =
            runner::rewrite(&words, &project.place(directory.as_deref()))?;
        self.notes.extend(note);
        match next {
            Next::Stays => return Ok(false),
            Next::Line(next) => self.line = next,
            Next::Script { name, arguments } => self.follow(package, &name, &arguments, builders, project)?,
            Next::Workspace { workspace, script, arguments } => {
                let Some((directory, package)) = project.workspaces.find(&workspace) else {
                    // npm --prefix names any directory with a package.json.
                    let known: Vec<&str> =
                        project.workspaces.iter().map(|(directory, _)| directory).collect();
                    if known.is_empty() || workspace.starts_with("./") {
                        return Ok(false);
                    }
                    let cause = format!(
                        "there is no workspace \"{}\" among {}",
                        excerpt(&workspace),
                        excerpt(&known.join(", "))
                    );
                    return Err(invalid(cause));
                };
                if !self.goes_to(directory) {
                    return Ok(false);
                }
                self.follow(package, &script, &arguments, builders, project)?;
            }
            Next::OnlyWorkspace { script, arguments } => {
                let Some(directory) = project.only_one_with(&script).filter(|at| self.goes_to(at)) else {
                    return Ok(false);
                };
                let package = project.package_in(Some(directory));
                self.follow(package, &script, &arguments, builders, project)?;
            }
        }
        self.environment.extend(set.into_iter().chain(environment));
        Ok(true)
    }

    /// Goes to a workspace. False if something stays in front of the program that runs in the directory from before.
    fn goes_to(&mut self, directory: &str) -> bool {
        let may = self.before.is_empty() || self.directory.as_deref() == Some(directory);
        if may {
            self.directory = Some(directory.to_owned());
        }
        may
    }

    fn follow(
        &mut self,
        package: &Package,
        name: &str,
        arguments: &str,
        builders: &mut Builders,
        project: &Project,
    ) -> Result<()> {
        let script = package.script(name).ok_or_else(|| runner::no_script(name))?;
        let directory = self.directory.clone();
        let before = format!("pre{name}");
        match package.script(&before) {
            Some(line) if !line.contains('$') && builders.builds(line, directory.as_deref(), project) => {
                self.build(line);
            }
            Some(_) => self.skipped.push(before),
            None => {}
        }
        self.skipped.extend(Some(format!("post{name}")).filter(|hook| package.scripts.contains_key(hook)));
        if script.contains("npm_lifecycle_event") {
            self.environment.insert("npm_lifecycle_event".to_owned(), name.to_owned());
        }
        // Only where the package uses them: a service gets its secret's variables, and no others unasked.
        if !package.config.is_empty() || script.contains("npm_package_") {
            self.environment.extend(package.script_variables());
        }
        self.line = format!("{} {arguments}", script.trim()).trim_end().to_owned();
        Ok(())
    }
}

fn is_of_the_shell(part: &str) -> bool {
    Words::of(part).is_none_or(|words| shell::is_of_the_shell(words.raw(0)))
}

/// npx takes what is installed, and if that is nothing, the newest package of the registry, with the service's secrets.
fn without_npx(part: &str, place: &Place) -> Result<String> {
    let Some(words) = Words::of(part) else { return Ok(part.to_owned()) };
    let (_, at) = assignments(&words, 0);
    match (words.text(at), Words::of(words.from(at))) {
        ("npx" | "pnpx" | "bunx", Some(rest)) => match runner::rewrite(&rest, place)?.next {
            Next::Line(line) => Ok(format!("{}{line}", &part[..part.len() - words.from(at).len()])),
            _ => Ok(part.to_owned()),
        },
        _ => Ok(part.to_owned()),
    }
}

fn invalid(cause: impl Into<String>) -> Error {
    Error::new(Code::ManifestInvalid, "resolving the start command", cause.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;
    use crate::planner::runtime::node::workspace::Workspaces;
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
            ("node --env-file=.env.missing x.js --env-file=a", "node x.js --env-file=a"),
            ("node --env-file .env.missing -r y x.js", "node -r y x.js"),
        ] {
            assert_eq!(line(start), program, "{start}");
        }
        for start in [
            "dotenv -e .env.prod -- node x.js",
            "env-cmd -f config/prod.env node x.js",
            "node --env-file=.env.prod x.js",
            "node --env-file=.env x.js",
            "node --env-file=config/a.env x.js",
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
        let other = resolve("bun --filter other start", &project).unwrap_err().to_string();
        assert!(other.contains("no workspace \"other\" among apps/api"), "{other}");
        // A path, and the name of a workspace's directory elsewhere.
        assert_eq!(resolve("npm --prefix apps/api start", &project).unwrap().line, "node api.js");
        for start in ["npm --prefix api start", "yarn --cwd api start", "pnpm -C api start"] {
            assert_eq!(resolve(start, &project).unwrap().line, start);
        }
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
        let behind =
            resolved("prisma migrate deploy && prisma generate && npm run make && node x.js").unwrap();
        assert_eq!(behind.builds, ["prisma generate", "npm run make"]);
        assert_eq!(behind.whole(), "prisma migrate deploy && node x.js");
        for start in [
            "node migrate.js && tsc && node x.js",
            "prisma migrate deploy && node x.js",
            "tsc --watch && node x.js",
            "tsc | tee log",
            "node a.js && node b.js",
        ] {
            let resolved = resolved(start).unwrap();
            assert!(resolved.builds.is_empty() && resolved.whole() == start, "{start}: {resolved:?}");
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
