//! The file that starts a service, where package.json has no start script: its program, its main file, or a usual name.

use std::path::Path;

use super::Runner;
use super::refuse::DOING;
use crate::error::{Code, Error};
use crate::facts::Evidence;
use crate::planner::runtime::node::package::Package;
use crate::planner::runtime::recipe::RecipeInputs;
use crate::planner::unmet::{Unmet, require_texts};

/// Files that start a service by their name.
const USUAL: &[&str] = &["server.js", "index.js", "app.js", "main.js", "server.mjs", "index.mjs", "app.mjs"];
/// The same below the root, and in TypeScript.
const USUAL_BELOW: &[&str] =
    &["src/index.js", "src/server.js", "src/app.js", "src/main.js", "bin/www", "bin/server.js"];
const USUAL_TYPESCRIPT: &[&str] = &[
    "index.ts",
    "server.ts",
    "app.ts",
    "main.ts",
    "src/index.ts",
    "src/server.ts",
    "src/main.ts",
    "src/app.ts",
];

/// Ends of files that Node cannot run, such as a script for the shell, or a style sheet that a front end names as `main`.
const NOT_OF_NODE: &[&str] =
    &[".sh", ".bash", ".py", ".rb", ".pl", ".php", ".css", ".scss", ".sass", ".less", ".html", ".htm"];

/// `main` of package.json, else a file by its name.
pub fn by_file(
    inputs: &RecipeInputs,
    package: &Package,
    runner: &Runner,
) -> Result<Option<(String, String)>, Unmet> {
    let source = inputs.source;
    // A package with a program exports its main file, and starts by the program.
    if let Some(bin) = package.bin.as_deref().map(|bin| bin.trim_start_matches("./"))
        && !package.main.as_deref().is_some_and(|main| USUAL.contains(&main.trim_start_matches("./")))
        && !Path::new(bin).is_absolute()
        && is_of_node(bin)
    {
        return Ok(Some((started(bin, package, runner), "bin in package.json".to_owned())));
    }
    // The main file of a package.json often does not exist. Whether a file below the root exists is unknown if the
    // commit comes from a record, so such a name is used unchecked.
    let there = |main: &&str| main.contains('/') || source.has(main);
    let module = package.module.as_deref().filter(|_| runner.is_bun);
    let main = package.main.as_deref().or(module).map(|main| main.trim_start_matches("./")).filter(there);
    if let Some(main) = main.filter(|main| !Path::new(main).is_absolute() && is_of_node(main)) {
        return Ok(Some((started(main, package, runner), "main in package.json".to_owned())));
    }
    let usual = |path: &&str| (started(path, package, runner), format!("{path}: a usual name"));
    if let Some(found) = USUAL.iter().find(|path| source.has(path)).map(usual) {
        return Ok(Some(found));
    }
    let below: Vec<&str> =
        USUAL_BELOW.iter().chain(USUAL_TYPESCRIPT).copied().filter(|path| path.contains('/')).collect();
    require_texts(source, &below)?;
    let exists = |path: &&&str| match path.contains('/') {
        true => matches!(source.evidence_of(path), Evidence::Text(_) | Evidence::Unread(_)),
        false => source.has(path),
    };
    let found = USUAL_BELOW.iter().chain(USUAL_TYPESCRIPT).find(exists).map(usual);
    match found {
        Some((line, _)) if line.starts_with("node ") && is_typescript(&line) && !reads_typescript(runner) => {
            let cause = format!(
                "{} is TypeScript, which Node {} cannot run",
                &line["node ".len()..],
                runner.node.version
            );
            let remedy = "write what the build makes as start in bootagent.toml, such as start = \"node dist/index.js\"; Node runs TypeScript from 22.18 on";
            Err(Error::new(Code::ManifestInvalid, DOING, cause).remedy(remedy).into())
        }
        found => Ok(found),
    }
}

fn is_of_node(path: &str) -> bool {
    !NOT_OF_NODE.iter().any(|end| path.ends_with(end))
}

fn is_typescript(path: &str) -> bool {
    [".ts", ".mts", ".cts"].iter().any(|end| path.ends_with(end))
}

/// Node removes the types of a file by itself since 22.18, and of the versions 23 since 23.6.
fn reads_typescript(runner: &Runner) -> bool {
    let since = nodejs_semver::Version::from((22_u64, 18_u64, 0_u64));
    nodejs_semver::Version::parse(&runner.node.version)
        .map_or(true, |version| version >= since && !(version.major() == 23 && version.minor() < 6))
}

/// TypeScript is run by what the project has for it, else by Node itself, which can since 22.18.
fn started(path: &str, package: &Package, runner: &Runner) -> String {
    let other = ["tsx", "ts-node"].into_iter().find(|name| is_typescript(path) && package.has(name));
    let program = if runner.is_bun { "bun" } else { other.unwrap_or("node") };
    let quoted = if path.contains(|c: char| !c.is_ascii_alphanumeric() && !"./-_@+".contains(c)) {
        format!("'{}'", path.replace('\'', r"'\''"))
    } else {
        path.to_owned()
    };
    format!("{program} {quoted}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::planner::runtime::command;
    use crate::planner::runtime::node::start::Packages;
    use crate::planner::runtime::node::version::Node;

    #[test]
    fn a_file_name_is_one_word_of_the_line() {
        let bin = PathBuf::from("/n");
        let node =
            Node { version: "22.0.0".to_owned(), npm: bin.clone(), bin, has_headers: false, archive: None };
        let runner = Runner { node: &node, packages: Packages::Directory, manager: "npm", is_bun: false };
        let line = |path: &str| started(path, &Package::default(), &runner);
        for (path, whole) in [
            ("dist/main.js", "node dist/main.js"),
            ("a b.js", "node 'a b.js'"),
            ("a'b; rm -rf /.js", r"node 'a'\''b; rm -rf /.js'"),
            ("a$(id).js", "node 'a$(id).js'"),
        ] {
            assert_eq!(line(path), whole);
        }
        // A real shell: the name comes to the program as it is.
        for path in ["a'b; echo x", "''", "a\"b`id`", "a\nb"] {
            let argv = command::start(&line(path), Path::new("/n/bin/node")).unwrap().argv;
            let script = argv[2].replacen("exec node", "exec printf %s", 1);
            let output = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), path, "{script}");
        }
    }
}
