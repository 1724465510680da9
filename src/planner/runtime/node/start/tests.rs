//! Tables of start lines: what they become, which packages they keep, what is built for them.

use super::line::{Resolved, resolve};
use super::project::Project;
use super::{development, framework, reach, script};
use crate::error::Result;
use crate::facts::testing::source;
use crate::planner::runtime::node::{package, package::Package, workspace, workspace::Workspaces};

fn with<T>(json: &str, files: &[&str], test: impl FnOnce(&Project) -> T) -> T {
    let package = package::parse("package.json", json).unwrap();
    let has = |path: &str| files.contains(&path);
    test(&Project { package: &package, workspaces: &Workspaces::default(), has: &has })
}

fn resolved(json: &str, line: &str) -> Result<Resolved> {
    with(json, &[".env.production", ".env-cmdrc", "nodemon.json"], |project| resolve(line, project))
}

const PLAIN: &str =
    r#"{"scripts": {"x": "node x.js", "start": "node x.js"}, "dependencies": {"express": "4"}}"#;

#[test]
fn each_runner_makes_room_for_its_program() {
    for (line, becomes) in [
        ("cross-env-shell A=1 \"node server.js\"", "node server.js"),
        ("dotenv -c other -- node x", "node x"),
        ("dotenv -v A=b -- node x", "node x"),
        ("env-cmd .env.other node x", "node x"),
        ("env-cmd node x", "node x"),
        ("dotenvx run --env-file=.env.other -- node x", "node x"),
        ("nodemon -r dotenv/config server.js --flag", "node -r dotenv/config server.js --flag"),
        ("nodemon server.js --exec babel-node", "babel-node server.js"),
        ("nodemon --inspect server.js", "node --inspect server.js"),
        ("tsx watch --clear-screen=false src/x.ts", "tsx src/x.ts"),
        ("tsx watch --env-file=.env --include a src/x.ts", "tsx --env-file=.env src/x.ts"),
        ("tsx --watch src/x.ts", "tsx src/x.ts"),
        ("node -r x --watch a.js", "node -r x a.js"),
        ("node --import tsx --watch a.js", "node --import tsx a.js"),
        ("node --watch-path ./src a.js", "node a.js"),
        ("bun run --watch a.ts", "bun run a.ts"),
        ("bun --hot a.ts", "bun a.ts"),
        ("pnpm run --silent x", "node x.js"),
        ("yarn run --silent x", "node x.js"),
        ("npm run x --if-present", "node x.js"),
        ("pm2-runtime start s.js -i 2 -- --flag x", "node s.js --flag x"),
        ("pm2 start s.js --node-args='--max-old-space-size=512'", "node --max-old-space-size=512 s.js"),
    ] {
        assert_eq!(resolved(PLAIN, line).unwrap().whole(), becomes, "{line}");
    }
    assert_eq!(resolved(PLAIN, "dotenv -v A=b -- node x").unwrap().environment["A"], "b");
}

#[test]
fn a_runner_stays_where_the_commit_has_what_it_reads() {
    for line in [
        "dotenv -c production -- node x",
        "env-cmd .env.production node x",
        "env-cmd ./config/prod.env node x",
        "env-cmd -r .rc -e production node x",
        "env-cmd -e production node x",
        "dotenvx run --env-file=.env.production -- node x",
        "dotenvx run --convention=nextjs -- node x",
        "nodemon",
        "node a.js --watch",
        "tsx src/x.ts --watch",
        "pm2-runtime ecosystem.config.js",
        "turbo run start",
        "pnpm -r start",
    ] {
        assert_eq!(resolved(PLAIN, line).unwrap().whole(), line);
    }
    for line in ["pm2-runtime ecosystem.config.js", "nodemon"] {
        assert_eq!(resolved(PLAIN, line).unwrap().notes.len(), 1, "{line}");
    }
}

const TOOLS: &str = r#"{"scripts": {
    "migrate": "npx prisma migrate deploy", "deep": "npm run migrate", "other": "npx unknown-tool",
    "start:a": "node a.js", "start:b": "tsx b.ts"
}, "dependencies": {"express": "4", "concurrently": "9", "wait-on": "8", "serve": "14"},
   "devDependencies": {"prisma": "6", "tsx": "4", "@rsbuild/core": "1", "@redwoodjs/core": "8", "ts-node": "10"}}"#;

fn kept(json: &str, line: &str) -> Option<String> {
    with(json, &[], |project| {
        let resolved = resolve(line, project).unwrap();
        development::keeps_development(
            "start command",
            &reach::reach(&resolved.whole(), None, project).unwrap(),
            project,
        )
    })
}

#[test]
fn a_development_dependency_in_any_part_of_the_line_is_kept() {
    for (line, name) in [
        ("prisma migrate deploy && node dist/main.js", "prisma"),
        ("npm run deep && node dist/main.js", "prisma"),
        ("npx prisma migrate deploy && node dist/main.js", "prisma"),
        ("tsx a.ts | cat", "tsx"),
        ("wait-on tcp:1 && tsx a.ts", "tsx"),
        ("concurrently 'tsx a.ts' \"node b.js\"", "tsx"),
        ("concurrently npm:start:*", "tsx"),
        ("run-p start:a start:b", "tsx"),
        ("node a.js || tsx b.ts", "tsx"),
        ("node a.js; tsx b.ts", "tsx"),
        ("sh -c 'tsx b.ts'", "tsx"),
        ("env A=1 tsx a.ts", "tsx"),
        ("NODE_OPTIONS='--import tsx' node a.js", "tsx"),
        ("dotenv -e ./config/a.env -- tsx a.ts", "tsx"),
        ("redwood serve", "@redwoodjs/core"),
        ("rsbuild preview", "@rsbuild/core"),
        ("unknown serve", "runs unknown"),
        ("(cd x && tsx a.ts)", "left to a shell"),
        ("$RUNNER a.ts", "left to a shell"),
        ("node $(cat main)", "left to a shell"),
        ("cd server && npm start", "left to a shell"),
        ("./start.sh", "left to a shell"),
        ("bash scripts/start.sh", "left to a shell"),
        ("node --run start:b", "tsx"),
    ] {
        let reason = kept(TOOLS, line);
        assert!(reason.as_deref().is_some_and(|reason| reason.contains(name)), "{line}: {reason:?}");
    }
}

#[test]
fn development_dependencies_are_removed_where_no_part_needs_them() {
    for line in [
        "node dist/main.js",
        "node $FLAGS dist/main.js",
        "node a.js | cat",
        "node migrate.js && node a.js",
        "sleep 1; node a.js || node b.js",
        "concurrently 'node a.js' 'serve -s build'",
        "wait-on tcp:1 && node a.js",
        "node 'tsx'",
        "node a.js 'x && tsx y'",
        "npm run start:a",
        "cross-env A=tsx node a.js",
    ] {
        assert_eq!(kept(TOOLS, line), None, "{line}");
    }
    assert_eq!(kept(PLAIN, "unknown serve"), None, "there is none to keep");
}

#[test]
fn npx_runs_what_is_installed_in_every_part() {
    for (line, becomes) in [
        ("npx prisma migrate deploy && node a.js", "prisma migrate deploy && node a.js"),
        ("npx --yes serve -s build", "serve -s build"),
        ("A=1 npx prisma db push && npm run start:a", "A=1 prisma db push && node a.js"),
    ] {
        assert_eq!(resolved(TOOLS, line).unwrap().whole(), becomes, "{line}");
    }
    for line in [
        "npx unknown-tool",
        "npx unknown-tool && node a.js",
        "npx prisma@5 migrate deploy && node a.js",
        "npm run other && node a.js",
        "node a.js | npx unknown-tool",
        "node a.js || npx unknown-tool",
    ] {
        let error = with(TOOLS, &[], |project| {
            let resolved = resolve(line, project)?;
            reach::reach(&resolved.whole(), None, project).map(drop)
        });
        assert!(error.unwrap_err().to_string().contains("no lockfile names"), "{line}");
    }
}

#[test]
fn scripts_that_call_the_next_one_twice_are_read_once() {
    let scripts: Vec<String> = (0..60)
        .map(|at| format!(r#""s{at}": "npm run s{n} && npm run s{n} && npm run s{n}""#, n = at + 1))
        .collect();
    let json = format!(
        r#"{{"scripts": {{{}, "s60": "tsc"}}, "devDependencies": {{"typescript": "5"}}}}"#,
        scripts.join(", ")
    );
    let begun = std::time::Instant::now();
    let _ = resolved(&json, "npm run s0 && node a.js");
    assert!(kept(&json, "npm run s0 | cat").is_some());
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

#[test]
fn what_a_start_line_builds_or_installs_first_is_done_once() {
    const BUILDS: &str = r#"{"scripts": {
        "build": "tsc", "prestart": "npm run compile", "compile": "tsc -p .", "start": "node x.js",
        "preserve": "node migrate.js", "serve": "node x.js"
    }}"#;
    for (line, builds, becomes) in [
        ("npm ci && npm run build && node x.js", &["npm run build"][..], "node x.js"),
        ("yarn && yarn build && node x.js", &["yarn build"], "node x.js"),
        ("npm install && node x.js", &[], "node x.js"),
        ("npm run build --if-present && node x.js", &["npm run build --if-present"], "node x.js"),
        ("npm start", &["npm run compile"], "node x.js"),
        ("npm run serve", &[], "node x.js"),
        ("npm run build && node seed.js && node x.js", &["npm run build"], "node seed.js && node x.js"),
    ] {
        let resolved = resolved(BUILDS, line).unwrap();
        assert_eq!(
            (resolved.builds.as_slice(), resolved.whole().as_str()),
            (builds.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>().as_slice(), becomes),
            "{line}"
        );
    }
    for line in [
        "cp $FILE config.json && node x.js",
        "npm install express && node x.js",
        "node seed.js && tsc && node x.js",
    ] {
        let resolved = resolved(BUILDS, line).unwrap();
        assert_eq!((resolved.builds.len(), resolved.whole().as_str()), (0, line));
    }
    assert_eq!(resolved(BUILDS, "npm start").unwrap().skipped.len(), 0);
    assert_eq!(resolved(BUILDS, "npm run serve").unwrap().skipped, ["preserve"]);
}

fn chosen(json: &str) -> Result<Option<String>> {
    with(json, &[], |project| {
        let found = script::by_script(project, None, framework::of(project.package), &source(&[]))?;
        found.map(|(line, _)| resolve(&line, project).map(|resolved| resolved.whole())).transpose()
    })
}

#[test]
fn a_development_server_is_not_started() {
    for start in [
        "next",
        "nuxt",
        "react-scripts start",
        "ng serve",
        "vue-cli-service serve",
        "webpack serve",
        "webpack-dev-server",
        "gatsby develop",
        "docusaurus start",
        "parcel index.html",
        "rsbuild dev",
        "storybook dev -p 6006",
        "expo start",
        "eleventy --serve",
        "node ace serve --watch",
        "concurrently 'vite' 'node api.js'",
        "node gen.js && ng serve",
    ] {
        let json = format!(r#"{{"scripts": {{"start": "{start}"}}}}"#);
        assert!(chosen(&json).unwrap_err().to_string().contains("development server"), "{start}");
    }
    for start in [
        "next start",
        "node .output/server/index.mjs",
        "serve -s build",
        "webpack-x",
        "node ace migration:run && node x.js",
        "gatsby serve",
        "parcel-x",
        "eleventy-x",
        "remix-serve build",
        "strapi start",
    ] {
        let json = format!(r#"{{"scripts": {{"start": "{start}"}}}}"#);
        assert_eq!(chosen(&json).unwrap().as_deref(), Some(start));
    }
    let json = r#"{"scripts": {"start": "node seed.js && next dev"}, "dependencies": {"next": "15"}}"#;
    assert_eq!(chosen(json).unwrap().as_deref(), Some("node seed.js && next start"));
}

#[test]
fn a_script_for_production_must_start_a_service() {
    for (scripts, becomes) in [
        (r#""start": "nest start", "start:prod": "node dist/main""#, Some("node dist/main")),
        (r#""start": "tsx a.ts", "prod": "webpack --mode production""#, Some("tsx a.ts")),
        (r#""start": "tsx a.ts", "prod": "npm run build && git push""#, Some("tsx a.ts")),
        (r#""start": "tsx a.ts", "production": "docker compose up -d""#, Some("tsx a.ts")),
        (r#""prod": "npm publish""#, None),
        (r#""prod": "node a.js""#, Some("node a.js")),
        (
            r#""start": "npm-run-all --parallel start:server w", "start:server": "node a.js", "w": "node w.js""#,
            Some("npm-run-all --parallel start:server w"),
        ),
        (r#""start": "concurrently 'tsc -w' 'nodemon x.js'", "start:prod": "node x.js""#, Some("node x.js")),
    ] {
        let json = format!(
            r#"{{"scripts": {{{scripts}}}, "devDependencies": {{"tsx": "4", "npm-run-all": "4", "concurrently": "9"}}}}"#
        );
        assert_eq!(chosen(&json).unwrap().as_deref(), becomes, "{scripts}");
    }
}

fn monorepo<T>(root: &str, api: &str, test: impl FnOnce(&Project, &Package) -> T) -> T {
    let files = source(&[("apps/api/package.json", api)]);
    let package = package::parse("package.json", root).unwrap();
    let workspaces = workspace::workspaces(&files, &package, &[]).unwrap();
    test(&Project { package: &package, workspaces: &workspaces, has: &|_| false }, &package)
}

#[test]
fn a_workspace_is_judged_as_the_root_is() {
    let api = r#"{"name": "api", "scripts": {"start": "nest start", "start:prod": "node dist/main", "up": "ts-node a.ts"}}"#;
    for root in [
        "npm start -w api",
        "pnpm --filter api start",
        "pnpm run --filter api start",
        "turbo run start --filter=api",
    ] {
        let json = format!(r#"{{"workspaces": ["apps/*"], "scripts": {{"start": "{root}"}}}}"#);
        monorepo(&json, api, |project, _| {
            let (line, _) = script::by_script(project, None, None, &source(&[])).unwrap().unwrap();
            let resolved = resolve(&line, project).unwrap();
            assert_eq!(
                (resolved.line.as_str(), resolved.directory.as_deref()),
                ("node dist/main", Some("apps/api")),
                "{root}"
            );
        });
    }
    for (place, is_kept) in [("devDependencies", true), ("dependencies", false)] {
        let json = format!(r#"{{"workspaces": ["apps/*"], "{place}": {{"ts-node": "10"}}}}"#);
        monorepo(&json, api, |project, _| {
            let resolved = resolve("npm run up -w api", project).unwrap();
            let reach = reach::reach(&resolved.whole(), resolved.directory.as_deref(), project).unwrap();
            assert_eq!(
                development::keeps_development("start command", &reach, project).is_some(),
                is_kept,
                "{place}"
            );
        });
    }
}

mod runners;
