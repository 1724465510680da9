//! Which package a start line needs: that of its program, and those that Node loads before it. Pure.

use super::project::Place;
use super::word::{Words, assignments};

/// Programs whose package has another name.
const PROVIDERS: &[(&str, &str)] = &[
    ("nest", "@nestjs/cli"),
    ("tsc", "typescript"),
    ("remix-serve", "@remix-run/serve"),
    ("react-router-serve", "@react-router/serve"),
    ("tsnd", "ts-node-dev"),
    ("strapi", "@strapi/strapi"),
    ("fastify", "fastify-cli"),
    ("ng", "@angular/cli"),
    ("nuxi", "nuxt"),
    ("sequelize", "sequelize-cli"),
    ("sequelize-cli", "sequelize-cli"),
    ("dotenv", "dotenv-cli"),
    ("dotenvx", "@dotenvx/dotenvx"),
    ("run-p", "npm-run-all"),
    ("run-s", "npm-run-all"),
    ("babel-node", "@babel/node"),
    ("swc-node", "@swc-node/register"),
    ("medusa", "@medusajs/cli"),
    ("directus", "directus"),
    ("docusaurus", "@docusaurus/core"),
    ("ts-node-esm", "ts-node"),
    ("ts-node-script", "ts-node"),
    ("rsbuild", "@rsbuild/core"),
    ("vue-cli-service", "@vue/cli-service"),
    ("redwood", "@redwoodjs/core"),
    ("rw", "@redwoodjs/core"),
    ("pm2-runtime", "pm2"),
    ("cross-env-shell", "cross-env"),
    ("conc", "concurrently"),
    ("webpack-dev-server", "webpack-dev-server"),
    ("webpack", "webpack-cli"),
    ("eleventy", "@11ty/eleventy"),
    ("typeorm-ts-node-commonjs", "typeorm"),
    ("typeorm-ts-node-esm", "typeorm"),
    ("mikro-orm", "@mikro-orm/cli"),
    ("medusa", "@medusajs/medusa"),
    ("mastra", "mastra"),
    ("nodemon", "nodemon"),
    ("fastify-start", "fastify-cli"),
    ("graphile-worker", "graphile-worker"),
];

/// Options of Node whose value is a module that is loaded first.
const LOADERS: &[&str] = &["-r", "--require", "--import", "--loader", "--experimental-loader"];

/// Programs that every machine has, or that come with Node.
const SYSTEM: &[&str] = &[
    "node", "npm", "npx", "yarn", "pnpm", "pnpx", "bun", "bunx", "corepack", "sh", "bash", "dash", "cat",
    "tee", "echo", "printf", "sleep", "true", "false", "mkdir", "cp", "mv", "rm", "ln", "ls", "test", "[",
    "grep", "sed", "awk", "cut", "head", "tail", "tr", "sort", "xargs", "env", "kill", "date", "chmod",
    "touch", "find", "timeout", "nice", "wait",
];

pub fn is_of_the_system(program: &str) -> bool {
    SYSTEM.contains(&program)
}

/// The package of a program, among those that are named.
pub fn provider<'a>(program: &str, place: &'a Place) -> Option<&'a str> {
    let usual = PROVIDERS.iter().filter(|(known, _)| *known == program).map(|(_, package)| *package);
    let usual: Vec<&str> = usual.chain([program]).collect();
    let names = || place.names();
    let exact = usual.iter().find_map(|wanted| names().find(|name| name == wanted));
    // `@scope/program`, `program-cli`, `@program/cli`.
    let similar = |name: &&str| {
        let (scope, last) = name.rsplit_once('/').unwrap_or(("", name));
        scope != "@types" && last == program
            || last.strip_suffix("-cli") == Some(program)
            || scope.strip_prefix('@') == Some(program) && matches!(last, "cli" | "core")
    };
    exact.or_else(|| names().find(similar))
}

/// The packages that a line of one program needs, as package.json names them.
pub fn needed(line: &str, place: &Place) -> Vec<String> {
    let Some(words) = Words::of(line) else { return Vec::new() };
    let at = program_at(&words);
    let program = words.text(at).trim_start_matches("./");
    let program = program.strip_prefix("node_modules/.bin/").unwrap_or(program);
    if program != "node" {
        return provider(program, place).map(str::to_owned).into_iter().collect();
    }
    let modules = (at + 1..words.len()).filter_map(|at| {
        let word = words.text(at);
        let joined = LOADERS.iter().find_map(|flag| word.strip_prefix(flag)?.strip_prefix('='));
        joined.or_else(|| LOADERS.contains(&word).then(|| words.text(at + 1)))
    });
    let mut found: Vec<String> = modules.filter_map(package_of).collect();
    // `node node_modules/next/dist/bin/next`, `node --import tsx`, and tools that a script is started with.
    let scripts = (at + 1..words.len())
        .filter_map(|at| words.text(at).trim_start_matches("./").strip_prefix("node_modules/"));
    found.extend(scripts.filter(|path| !path.starts_with(".bin/")).filter_map(package_of));
    let binaries = (at + 1..words.len())
        .filter_map(|at| words.text(at).trim_start_matches("./").strip_prefix("node_modules/.bin/"));
    found.extend(binaries.filter_map(|program| provider(program, place)).map(str::to_owned));
    found
}

/// The place of the program behind assignments.
fn program_at(words: &Words) -> usize {
    let (_, at) = assignments(words, 0);
    if words.text(at) == "exec" { at + 1 } else { at }
}

/// A program that is neither a file, nor the machine's, nor of a package that is named.
pub fn unknown(line: &str, place: &Place) -> Option<String> {
    let words = Words::of(line)?;
    let program = words.text(program_at(&words));
    let is_known = program.is_empty()
        || program.contains('/')
        || is_of_the_system(program)
        || provider(program, place).is_some();
    (!is_known).then(|| program.to_owned())
}

/// `ts-node/register` is of the package `ts-node`, `@swc-node/register/esm` of `@swc-node/register`.
fn package_of(module: &str) -> Option<String> {
    let mut parts = module.split('/');
    let first = parts.next().filter(|first| !first.is_empty() && !first.starts_with(['.', '/']))?;
    Some(match first.starts_with('@') {
        true => format!("{first}/{}", parts.next()?),
        false => first.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::runtime::node::package;

    #[test]
    fn a_line_needs_the_package_of_its_program_and_those_that_node_loads() {
        let json = r#"{"devDependencies": {"@nestjs/cli": "1", "tsx": "1", "@rsbuild/core": "1", "@vue/cli-service": "1", "@types/bun": "1"}}"#;
        let package = package::parse("package.json", json).unwrap();
        let place = Place { package: &package, root: &package, has: &|_| false };
        for (line, packages) in [
            ("nest start", &["@nestjs/cli"][..]),
            ("A=1 tsx src/index.ts", &["tsx"]),
            (
                "node -r ts-node/register --import=@swc-node/register/esm-register x.ts",
                &["ts-node", "@swc-node/register"],
            ),
            ("node ./node_modules/next/dist/bin/next start", &["next"]),
            ("node node_modules/.bin/nest start", &["@nestjs/cli"]),
            ("node server.js", &[]),
            ("bun server.ts", &[]),
            ("rsbuild dev", &["@rsbuild/core"]),
            ("vue-cli-service serve", &["@vue/cli-service"]),
            ("other serve", &[]),
            ("node -r ./instrument.js server.js", &[]),
        ] {
            assert_eq!(needed(line, &place), packages, "{line}");
        }
    }
}
