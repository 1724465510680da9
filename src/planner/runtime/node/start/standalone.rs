//! Frameworks whose build is a program of its own: Next.js with `output: "standalone"`, AdonisJS. Pure.

use super::framework::Framework;
use super::line::Resolved;
use super::program;
use super::word::Words;
use crate::facts::Source;
use crate::planner::runtime::node::package::Package;

pub const DIRECTORY: &str = ".next/standalone";

/// Next.js with `output: "standalone"` starts without `next`, and AdonisJS from its build.
pub fn fit_framework(
    source: &Source,
    package: &Package,
    framework: Option<&Framework>,
    resolved: &mut Resolved,
) {
    let is_next = program(&resolved.line).is_some_and(|(program, word)| (program, word) == ("next", "start"));
    if is_next && is_standalone(source) && resolved.directory.is_none() {
        with_variables(resolved);
        resolved.line = "node .next/standalone/server.js".to_owned();
        resolved.builds.push(COPY_STATIC.to_owned());
    }
    let is_adonis_5 = framework.is_some_and(|framework| framework.name == "AdonisJS 5");
    if is_adonis_5 && package.scripts.contains_key("build") && resolved.line == "node server.js" {
        resolved.line = "node build/server.js".to_owned();
    }
    let is_adonis = framework.is_some_and(|framework| framework.name == "AdonisJS");
    if is_adonis && package.scripts.contains_key("build") && resolved.line == "node bin/server.js" {
        resolved.line = "node build/bin/server.js".to_owned();
    }
}

/// The standalone server reads variables, and no flags: `next start -p 4000 -H 127.0.0.1`.
fn with_variables(resolved: &mut Resolved) {
    let line = resolved.line.clone();
    let Some(words) = Words::of(&line) else { return };
    let flags = [("-p", "PORT"), ("--port", "PORT"), ("-H", "HOSTNAME"), ("--hostname", "HOSTNAME")];
    for at in 0..words.len() {
        let word = words.text(at);
        let found = flags.iter().find_map(|(flag, name)| match word.strip_prefix(flag)? {
            "" => Some((name, words.text(at + 1))),
            rest => Some((name, rest.strip_prefix('=')?)),
        });
        // `$PORT` is its variable already.
        if let Some((name, value)) = found.filter(|(_, value)| !value.is_empty() && !value.contains('$')) {
            resolved.environment.insert((*name).to_owned(), value.to_owned());
        }
    }
}

/// As the documentation of Next.js says: its build leaves out what a CDN would serve.
const COPY_STATIC: &str = "mkdir -p .next/standalone/.next && cp -r .next/static .next/standalone/.next/ && if [ -d public ]; then cp -r public .next/standalone/; fi";

fn is_standalone(source: &Source) -> bool {
    let configs = ["next.config.js", "next.config.mjs", "next.config.ts", "next.config.cjs"];
    let says = |text: &str| {
        without_comments(text).lines().any(|line| {
            let compact: String = line.chars().filter(|c| !c.is_whitespace()).collect();
            compact.contains("output:'standalone'") || compact.contains("output:\"standalone\"")
        })
    };
    configs.iter().filter_map(|path| source.text(path)).any(says)
}

fn without_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    parts.for_each(|part| kept += part.split_once("*/").map_or("", |(_, code)| code));
    kept.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}
