//! What a start line needs, and neither the commit has nor a build makes: `node dist/index.js` without a build script. Pure.

use super::Chosen;
use super::builder::Builders;
use super::project::Project;
use super::word::{Words, assignments};
use crate::facts::{EntryKind, Source};
use crate::observe::manifest::Manifest;
use crate::planner::runtime::procfile::in_toml;
use crate::planner::runtime::shell;
use crate::secret::excerpt;

/// Programs that run a file, and those that serve what a build of a framework left.
const OF_A_FILE: &[&str] = &["node", "tsx", "ts-node", "bun", "react-router-serve", "remix-serve"];
/// A program with the word behind it, where it looks, and the command that builds it.
const OF_A_BUILD: &[(&str, &str, &str, &str)] =
    &[("next", "start", ".next", "next build"), ("strapi", "start", "dist", "strapi build")];
/// Options with a value of their own.
const WITH_VALUE: &[&str] = &[
    "-r",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
    "-C",
    "--conditions",
    "--env-file",
    "--env-file-if-exists",
    "-P",
    "--project",
    "--tsconfig",
];

/// The note, for a commit that is installed by conventions. `builds`: whether anything is built.
pub fn note(
    source: &Source,
    manifest: &Manifest,
    project: &Project,
    chosen: &Chosen,
    builds: bool,
) -> Option<String> {
    let package = project.package_in(chosen.directory.as_deref());
    // An install script may build, and a command of the manifest may do anything.
    let is_custom = manifest.install.as_ref().is_some_and(|commands| !commands.is_empty());
    let runs_scripts = project.package.runs_at_install() || package.runs_at_install();
    if builds || is_custom || runs_scripts || chosen.site.is_some() || !is_whole(source) {
        return None;
    }
    let parts = shell::chain(&chosen.line).unwrap_or_default();
    let line = parts.last().copied().unwrap_or(&chosen.line);
    let words = Words::of(line)?;
    let (_, at) = assignments(&words, 0);
    let at = if words.text(at) == "exec" { at + 1 } else { at };
    let program = words.text(at);
    let below = |path: &str| match &chosen.directory {
        Some(directory) => format!("{directory}/{path}"),
        None => path.to_owned(),
    };
    let built = OF_A_BUILD.iter().find(|(known, word, ..)| *known == program && *word == words.text(at + 1));
    if let Some((_, _, directory, command)) = built {
        let is_there = source.has_directory(&below(directory)) || is_linked(source, &below(directory));
        return (!is_there).then(|| {
            format!(
                "nothing builds what {program} serves, and {} is not in the commit: add a script build to package.json, or \
                 build = {} to bootagent.toml",
                excerpt(&below(directory)),
                in_toml(&format!("npx {command}"))
            )
        });
    }
    let main = package.main.as_deref().unwrap_or("index.js");
    let file = below(&file(&words, at + 1, main).filter(|_| OF_A_FILE.contains(&program))?);
    let is_persistent = manifest.persist.iter().any(|kept| file.starts_with(&format!("{kept}/")));
    if is_there(source, &file) || is_persistent || file.starts_with("node_modules/") {
        return None;
    }
    let how = match builder(project, chosen.directory.as_deref()) {
        Some(script) => format!("build = {}", in_toml(&script)),
        None => "add a script build to package.json, or build to bootagent.toml".to_owned(),
    };
    Some(format!("nothing builds {}, which is started and not in the commit: {how}", excerpt(&file)))
}

/// A record has the files of the root only.
fn is_whole(source: &Source) -> bool {
    source.entries.iter().any(|entry| entry.path.contains('/'))
        || source.commit.as_str().bytes().all(|digit| digit == b'0')
}

/// The script that would build it, under another name than those that are run.
fn builder(project: &Project, directory: Option<&str>) -> Option<String> {
    let package = project.package_in(directory);
    let mut builders = Builders::default();
    let is_one = |name: &&String| {
        let line = package.script(name).unwrap_or_default();
        !line.contains("--watch") && builders.builds(line, directory, project)
    };
    let name = package.scripts.keys().find(is_one)?;
    Some(match directory {
        None => format!("npm run {}", excerpt(name)),
        Some(at) => format!("npm run {} --workspace={}", excerpt(name), excerpt(at)),
    })
}

/// The first word that is not an option. A name that a shell expands is not known.
fn file(words: &Words, mut at: usize, main: &str) -> Option<String> {
    if words.text(at) == "run" {
        at += 1;
    }
    while words.text(at).starts_with('-') {
        // The code itself.
        if matches!(words.text(at), "-e" | "--eval" | "-p" | "--print" | "--run") {
            return None;
        }
        at += if WITH_VALUE.contains(&words.text(at)) { 2 } else { 1 };
    }
    // `node .` runs the package's main file.
    let word = if matches!(words.text(at), "." | "./") { main } else { words.text(at) };
    let word = word.trim_start_matches("./").trim_end_matches('/');
    let is_plain = !word.is_empty()
        && word != "."
        && !word.starts_with('/')
        && !word.contains(['$', '*', '~', '\'', '"', '\\', '{'])
        && !word.split('/').any(|part| part == "..");
    is_plain.then(|| word.to_owned())
}

/// As Node finds it: with its ending, without it, or as a directory.
fn is_there(source: &Source, file: &str) -> bool {
    let endings = ["", ".js", ".json", ".node", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".tsx"];
    endings.iter().any(|ending| source.has(&format!("{file}{ending}")))
        || source.entries.iter().any(|entry| entry.path.starts_with(&format!("{file}/")))
        || is_linked(source, file)
}

/// Whether a part of the path is a link, or a submodule: what is behind it is not known.
fn is_linked(source: &Source, file: &str) -> bool {
    let is_above =
        |path: &str| file == path || file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    let links = source.entries.iter().filter(|entry| entry.kind == EntryKind::Symlink);
    links.map(|entry| entry.path.as_str()).chain(source.gitlinks.iter().map(String::as_str)).any(is_above)
}
