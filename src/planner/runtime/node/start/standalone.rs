//! Frameworks whose build is a program of its own: Next.js with `output: "standalone"`, AdonisJS. Pure.

use super::framework::Framework;
use super::line::Resolved;
use super::program;
use super::word::Words;
use crate::facts::Source;
use crate::planner::runtime::node::manager::LOCKFILES;
use crate::planner::runtime::node::package::Package;

const DIRECTORY: &str = ".next/standalone";

/// Next.js with `output: "standalone"` starts without `next`, and AdonisJS from its build.
pub fn fit_framework(
    source: &Source,
    package: &Package,
    framework: Option<&Framework>,
    resolved: &mut Resolved,
) {
    let is_next = program(&resolved.line).is_some_and(|(program, word)| (program, word) == ("next", "start"));
    if resolved.directory.is_some() {
        // Its build leaves the server in a directory that is named after the workspace; `next start` serves it as well.
    } else if is_next && is_standalone(source) {
        // Its versions differ in where the server is then; `next start` serves it as well.
        let Some(root) = root(source) else { return };
        with_variables(resolved);
        resolved.line = format!("node {root}/server.js");
        resolved.builds.push(copy_static(&root));
        resolved.notes.push(format!(
            "{root}/server.js is started and not next start, because next.config has output: standalone"
        ));
    } else if let Some(root) = server(&resolved.line).map(str::to_owned) {
        resolved.builds.push(copy_static(&root));
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

/// Where the build leaves its server: below the directory of the lockfile that Next.js found above, under the same path.
/// None if there are two.
fn root(source: &Source) -> Option<String> {
    let has_lockfile = |source: &Source| LOCKFILES.iter().any(|path| source.has(path));
    match source.directory() {
        Some(_) if has_lockfile(source.whole()) && has_lockfile(source) => None,
        Some(directory) if has_lockfile(source.whole()) => Some(format!("{DIRECTORY}/{directory}")),
        _ => Some(DIRECTORY.to_owned()),
    }
}

/// The directory of a standalone server that a line starts itself: `node .next/standalone/server.js`.
pub fn server(line: &str) -> Option<&str> {
    let last = line.split_whitespace().next_back()?.trim_start_matches("./");
    let root = last.strip_suffix("/server.js")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "./-_@".contains(c);
    let is_below = !root.split('/').any(|part| part == "..");
    (root.starts_with(DIRECTORY) && is_below && root.chars().all(is_plain)).then_some(root)
}

/// As the documentation of Next.js says: its build leaves out what a CDN would serve. Repeating it changes nothing.
fn copy_static(root: &str) -> String {
    format!(
        "if ! test -f {root}/server.js; then echo 'the build left no {root}/server.js' >&2; exit 1; fi; mkdir -p {root}/.next && if [ -d .next/static ]; then cp -r .next/static {root}/.next/; fi && if [ -d public ]; then cp -r public {root}/; fi"
    )
}

/// Whether a build copies the static files for a server of its own.
pub fn is_copy(build: &str) -> bool {
    build.starts_with(&format!("if ! test -f {DIRECTORY}"))
}

fn is_standalone(source: &Source) -> bool {
    let configs = ["next.config.js", "next.config.mjs", "next.config.ts", "next.config.cjs"];
    let says = |text: &str| {
        let compact: String = without_comments(text).chars().filter(|c| !c.is_whitespace()).collect();
        ["output:'standalone'", "output:\"standalone\""]
            .iter()
            .any(|words| compact.match_indices(words).any(|(at, _)| !is_conditional(&compact[..at])))
    };
    configs.iter().filter_map(|path| source.text(path)).any(says)
}

/// Whether a text ends within the object of a condition: `...(process.env.DOCKER && {`. It may hold for another platform only.
fn is_conditional(before: &str) -> bool {
    let is_open = |from: usize| before[from..].matches('{').count() > before[from..].matches('}').count();
    ["?{", "&&{"].iter().any(|begin| before.match_indices(begin).any(|(at, _)| is_open(at)))
}

fn without_comments(text: &str) -> String {
    let mut parts = text.split("/*");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    parts.for_each(|part| kept += part.split_once("*/").map_or("", |(_, code)| code));
    kept.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;

    #[test]
    fn an_output_under_a_condition_is_not_taken_for_standalone() {
        for (config, is) in [
            ("module.exports = { output: 'standalone' }", true),
            ("export default {\n  output: \"standalone\",\n}", true),
            ("// output: 'standalone'", false),
            ("/* output: 'standalone' */", false),
            ("{ ...(process.env.DOCKER ? { output: 'standalone' } : {}) }", false),
            ("{\n  ...(process.env.DOCKER && {\n    output: 'standalone',\n  }),\n}", false),
            ("{ ...(a && { b: 1 }), output: 'standalone' }", true),
            ("{ output: 'export' }", false),
        ] {
            assert_eq!(is_standalone(&source(&[("next.config.js", config)])), is, "{config}");
        }
    }

    #[test]
    fn a_line_that_starts_the_server_itself_is_known() {
        for (line, root) in [
            ("node .next/standalone/server.js", Some(".next/standalone")),
            ("node -r ./x.js ./.next/standalone/apps/web/server.js", Some(".next/standalone/apps/web")),
            ("node .next/standalone/$APP/server.js", None),
            ("node .next/standalone/../../server.js.map", None),
            ("node server.js", None),
            ("", None),
        ] {
            assert_eq!(server(line), root, "{line}");
        }
    }

    #[test]
    fn in_a_workspace_the_server_is_below_the_directory_of_the_lockfile() {
        let lockfile = ("package-lock.json", "{}");
        let own = ("apps/web/package-lock.json", "{}");
        let page = ("apps/web/package.json", "{}");
        let root = |files: &[_], directory: &str| root(&source(files).seen_from(directory));
        assert_eq!(root(&[lockfile, page], "apps/web").as_deref(), Some(".next/standalone/apps/web"));
        assert_eq!(root(&[own, page], "apps/web").as_deref(), Some(DIRECTORY));
        assert_eq!(root(&[lockfile, own, page], "apps/web"), None, "versions of Next.js differ");
    }
}
