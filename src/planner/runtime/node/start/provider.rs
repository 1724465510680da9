//! Which package a start line needs: that of its program, and those that Node loads before it. A start that needs a
//! package for development only keeps those packages.

use super::word::{Words, assignments};
use crate::planner::runtime::node::package::Package;

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
];

/// Options of Node whose value is a module that is loaded first.
const LOADERS: &[&str] = &["-r", "--require", "--import", "--loader", "--experimental-loader"];

/// The packages that a line of one program needs, as package.json would name them.
pub fn needed(line: &str) -> Vec<String> {
    let Some(words) = Words::of(line) else { return Vec::new() };
    let (_, at) = assignments(&words, 0);
    let at = if words.text(at) == "exec" { at + 1 } else { at };
    let program = words.text(at);
    if program != "node" {
        let other = PROVIDERS.iter().find(|(known, _)| *known == program).map(|(_, package)| *package);
        return vec![other.unwrap_or(program).to_owned()];
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
    found.extend(binaries.map(|program| {
        PROVIDERS
            .iter()
            .find(|(known, _)| *known == program)
            .map_or(program, |(_, package)| package)
            .to_owned()
    }));
    found
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

/// Those of the line's packages that only a development installation has.
pub fn only_for_development(line: &str, package: &Package) -> Vec<String> {
    needed(line).into_iter().filter(|name| package.is_only_for_development(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_needs_the_package_of_its_program_and_those_that_node_loads() {
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
            ("node -r ./instrument.js server.js", &[]),
        ] {
            assert_eq!(needed(line), packages, "{line}");
        }
    }
}
