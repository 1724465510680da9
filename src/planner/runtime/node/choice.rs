//! Chooses a Node: an installed one that fits the requested version, else one from an archive.

use nodejs_semver::Version;

use super::above::Above;
use super::archive;
use super::package::Package;
use super::version::{Node, Request};
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Installed, Source};
use crate::planner::runtime::recipe::RecipeInputs;
use crate::planner::runtime::tool_files::{self, Said};
use crate::planner::unmet::Unmet;
use crate::secret::excerpt;

/// The request for a version that counts, and those that it overrides. What the files of asdf and mise say counts more than
/// `engines`, which often is any version that a package works with.
fn requests(
    inputs: &RecipeInputs,
    package: &Package,
    above: Option<&Above>,
    notes: &mut Vec<String>,
) -> Result<(Request, Vec<Request>)> {
    let explicit = [
        (inputs.manifest.said("node", "version").map(str::to_owned), "node.version in bootagent.toml"),
        (line(inputs.source, ".nvmrc")?, ".nvmrc"),
        (line(inputs.source, ".node-version")?, ".node-version"),
        (package.volta.get("node").cloned(), "volta in package.json"),
    ];
    let engines = package.engines.get("node").cloned().map(|range| (range, "engines in package.json"));
    let explicit = explicit.into_iter().filter_map(|(range, by)| Some((range?, by)));
    let mut all: Vec<_> = explicit.chain(of_tool_files(inputs.source, notes)).collect();
    // A directory with files of its own is a project of its own, unless it is a workspace.
    if inputs.source.directory().is_some() && (above.is_some() || all.is_empty()) {
        let root = inputs.source.whole();
        all.extend(of_the_root(root, above.map(|above| &above.package))?);
        all.extend(of_tool_files(root, notes));
    }
    let of_root = above.and_then(|above| above.package.engines.get("node").cloned());
    all.extend(
        engines.into_iter().chain(of_root.map(|range| (range, "engines in package.json of the root"))),
    );
    let mut requests = all.into_iter().map(|(range, by)| Request { range, by });
    Ok((requests.next().unwrap_or(Request::any()), requests.collect()))
}

/// What the repository's root requests, which counts where the service's own directory has only `engines`, or nothing: nvm,
/// asdf and mise look for their files in the directories above, too. volta's is in the package.json of a workspace's root.
fn of_the_root(root: &Source, package: Option<&Package>) -> Result<Vec<(String, &'static str)>> {
    let all = [
        (line(root, ".nvmrc")?, ".nvmrc of the root"),
        (line(root, ".node-version")?, ".node-version of the root"),
        (package.and_then(|package| package.volta.get("node").cloned()), "volta in package.json of the root"),
    ];
    Ok(all.into_iter().filter_map(|(range, by)| Some((range?, by))).collect())
}

/// What mise.toml and .tool-versions request. The files may be about other tools, and have forms that no package manager of
/// Node knows, so what is not understood is ignored, with a note.
fn of_tool_files(source: &Source, notes: &mut Vec<String>) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    let note = |path: &str, why: &str| format!("{path} does not choose the version of Node: {why}");
    for (path, why) in tool_files::FILES.iter().filter_map(|path| Some((path, source.read(path).err()?))) {
        notes.push(note(path, why));
    }
    for (said, path) in tool_files::versions(source, &["node", "nodejs", "core:node"]) {
        let ignored = match said {
            Said::Version(version) => match of_tool(&version) {
                Some(range) => {
                    found.push((range, path));
                    continue;
                }
                None => format!("{} is not a version of Node", excerpt(&version)),
            },
            Said::Unclear(why) => why.to_owned(),
        };
        notes.push(note(path, &ignored));
    }
    found
}

/// The range of a version in the words of asdf or mise: `20.11.0`, `20`, `lts`, `lts-jod`, `latest`, `latest:20`,
/// `prefix:20`. None for the others: a directory, a reference of git, the system's Node.
fn of_tool(version: &str) -> Option<String> {
    let version =
        ["latest:", "prefix:"].iter().find_map(|start| version.strip_prefix(start)).unwrap_or(version);
    let range = version.strip_prefix("lts-").map_or(version.to_owned(), |name| format!("lts/{name}"));
    let request = Request { range, by: "a file of versions" };
    (!version.trim().is_empty() && request.versions().is_ok()).then_some(request.range)
}

/// The first line of a version file. One that cannot be read is an error: without it another version would be taken.
fn line(source: &Source, path: &'static str) -> Result<Option<String>> {
    let text = source.read(path).map_err(|why| {
        Error::new(Code::ManifestInvalid, format!("reading {path}"), why.to_owned())
            .remedy(format!("write {path} as a plain text file in UTF-8, with a version like 22"))
    })?;
    let lines = text.into_iter().flat_map(str::lines).map(str::trim);
    Ok(lines.into_iter().find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned))
}

/// The chosen Node, and the request that it fits. Adds a note for each other request that it does not fit.
pub fn chosen(
    inputs: &RecipeInputs,
    package: &Package,
    above: Option<&Above>,
    notes: &mut Vec<String>,
) -> Result<(Node, String), Unmet> {
    let (first, others) = requests(inputs, package, above, notes)?;
    let node = choose(&first, inputs, notes).map_err(|unmet| remedied(unmet, &first))?;
    for other in others.iter().filter(|other| !other.fits(&node.version).unwrap_or(false)) {
        notes.push(format!(
            "Node {} is used for {} ({}), although {} requests {}",
            node.version,
            first.shown(),
            first.by,
            other.by,
            other.shown()
        ));
    }
    Ok((node, format!("{}: {}", first.by, first.shown())))
}

/// The newest installed Node that fits, else the newest archive, if the policy allows archives.
fn choose(request: &Request, inputs: &RecipeInputs, notes: &mut Vec<String>) -> Result<Node, Unmet> {
    if let Some(node) = installed(request, inputs.facts)? {
        let bin = node.bin().to_owned();
        let has_headers = node.has(HEADERS);
        return Ok(Node { version: node.version.clone(), npm: bin.clone(), bin, has_headers, archive: None });
    }
    if archive::allowed(inputs.archives).allowed {
        return archive::choose(request, inputs, notes);
    }
    Err(Error::new(Code::RuntimeMissing, request.doing(), found(request, inputs.facts)?).into())
}

/// `engines` often is what was current when the file was written. No other version is taken without a word of the owner: a
/// deployment that serves is better than one on a Node that the repository excludes.
fn remedied(unmet: Unmet, request: &Request) -> Unmet {
    match unmet {
        Unmet::Error(error) if error.code() == Code::RuntimeMissing && request.is_of_engines() => {
            let remedy = format!(
                "{}; or name the version with which the service runs: node.version in bootagent.toml counts more than engines",
                error.report().remedy
            );
            Unmet::Error(error.remedy(remedy))
        }
        other => other,
    }
}

/// What the survey calls the headers that were installed together with a Node.
pub const HEADERS: &str = "headers";

/// An installed Node without npm beside it does not count: the build needs npm.
fn installed<'a>(request: &Request, facts: &'a Facts) -> Result<Option<&'a Installed>> {
    let mut fitting = Vec::new();
    for node in nodes(facts).iter().filter(|node| node.has("npm")) {
        if request.fits(&node.version)? {
            fitting.push(node);
        }
    }
    Ok(fitting.into_iter().max_by_key(|node| Version::parse(&node.version).ok()))
}

/// What the machine has, for the error that no installed Node fits.
fn found(request: &Request, facts: &Facts) -> Result<String> {
    for node in nodes(facts) {
        if request.fits(&node.version)? {
            return Ok(format!("{} has no npm beside it", node.bin().display()));
        }
    }
    if nodes(facts).is_empty() {
        return Ok("the machine has no Node".to_owned());
    }
    let versions: Vec<&str> = nodes(facts).iter().map(|node| node.version.as_str()).collect();
    Ok(format!("the machine has {} only", versions.join(" and ")))
}

fn nodes(facts: &Facts) -> &[Installed] {
    facts.programs.get("node").map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;

    fn requested(files: &[(&str, &str)]) -> (Vec<(String, &'static str)>, Vec<String>) {
        let mut notes = Vec::new();
        let found = of_tool_files(&source(files), &mut notes);
        (found, notes)
    }

    #[test]
    fn the_words_of_asdf_and_mise_become_a_range() {
        for (version, range) in [
            ("20.11.0", "20.11.0"),
            ("v20.11.0", "v20.11.0"),
            ("22", "22"),
            ("lts", "lts"),
            ("lts-jod", "lts/jod"),
            ("lts/Jod", "lts/Jod"),
            ("latest", "latest"),
            ("latest:20", "20"),
            ("prefix:20.11", "20.11"),
        ] {
            assert_eq!(of_tool(version).as_deref(), Some(range), "{version}");
        }
        let text = format!("nodejs {}", "2".repeat(300));
        for (path, text) in [
            (".tool-versions", "nodejs system"),
            (".tool-versions", "nodejs ref:v20.11.0"),
            (".tool-versions", "nodejs path:/opt/node"),
            (".tool-versions", text.as_str()),
            ("mise.toml", "[tools]\nnode = \"\"\n"),
            ("mise.toml", "[tools]\nnode = \"prefix:\"\n"),
            ("mise.toml", "[tools]\nnode = \"sub-1:lts\"\n"),
            ("mise.toml", "[tools]\nnode = \"{{ env.NODE }}\"\n"),
            ("mise.toml", "[tools]\nnode = 20.10\n"),
            ("mise.toml", "[tools\n"),
        ] {
            let (found, notes) = requested(&[(path, text)]);
            assert!(found.is_empty() && notes.len() == 1, "{text}: {found:?} {notes:?}");
            assert!(notes[0].starts_with(path) && notes[0].len() < 250, "{notes:?}");
        }
    }

    #[test]
    fn of_several_files_that_of_mise_counts_first() {
        let files =
            [(".tool-versions", "nodejs 20.11.0\n"), ("mise.toml", "[tools]\nnode = \"22\"\npnpm = \"9\"\n")];
        let (found, notes) = requested(&files);
        assert_eq!(found, [("22".to_owned(), "mise.toml"), ("20.11.0".to_owned(), ".tool-versions")]);
        assert!(notes.is_empty(), "{notes:?}");
        assert_eq!(requested(&[(".tool-versions", "python 3.12\n")]), (Vec::new(), Vec::new()));
        let mut linked = source(&[]);
        linked.unread.insert("mise.toml".to_owned(), "it is a symbolic link".to_owned());
        let mut notes = Vec::new();
        assert!(of_tool_files(&linked, &mut notes).is_empty());
        assert_eq!(notes, ["mise.toml does not choose the version of Node: it is a symbolic link"]);
    }
}
