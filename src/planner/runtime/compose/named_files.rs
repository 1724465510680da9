//! Reads `configs` and `secrets` of a compose file: files of the release that a container sees under a name. Where else
//! compose could take them from is refused. Pure.

use std::collections::BTreeMap;

use super::project::Mount;
use super::reader::{At, Reader};
use super::refused::unknown;
use crate::error::Result;
use crate::planner::runtime::container::is_path;
use crate::planner::runtime::yaml_tree::Node;
use crate::secret::excerpt;

/// By the key of the file (`configs`, `secrets`) and the name: the path in the release.
pub type Files = BTreeMap<(String, String), String>;

/// Those of one key of the file itself.
pub fn read(reader: &Reader, key: &str, at: At) -> Result<Files> {
    let mut all = Files::new();
    for (path, name, node) in reader.entries(at)? {
        let mut file = None;
        for (path, own, node) in reader.entries(At { path: &path, node })? {
            let at = At { path: &path, node };
            match own {
                "file" => file = Some(inside(reader, at)?),
                "external" if !reader.flag(at)? => {}
                _ => return Err(unknown(reader, own, at, ELSEWHERE)),
            }
        }
        let file = file.ok_or_else(|| reader.invalid(&path, "names no file"))?;
        if key == "secrets" {
            reader.note(format!(
                "{path} is a file of the repository, which everyone can read who can fetch it"
            ));
        }
        all.insert((key.to_owned(), name.to_owned()), file);
    }
    Ok(all)
}

const GIVE: &str = "give the value by environment of the container";
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("environment", "makes a file of a variable", GIVE),
    ("content", "makes a file of a text", "add the file to the repository, and name it with file"),
    ("external", "names what is kept elsewhere", GIVE),
    ("name", "names what is kept elsewhere", GIVE),
    ("driver", "names what is kept elsewhere", GIVE),
    ("template_driver", "changes the file", "add the file as it is to be"),
];

fn inside(reader: &Reader, at: At) -> Result<String> {
    let text = reader.text(at)?;
    let remedy = "name a file of the repository; give a value that is secret by environment";
    let path = reader.inside(&text).filter(|path| !path.is_empty()).ok_or_else(|| {
        reader.refused(at.path, "is refused: it is not a file below the repository's root", remedy)
    })?;
    match reader.has(&path) {
        true => Ok(path),
        false => Err(reader.invalid(at.path, "names what the repository does not have").remedy(remedy)),
    }
}

/// What a container says: a list of names, or of mappings with `source` and `target`.
pub fn mounts(reader: &Reader, at: At, (key, files): (&str, &Files)) -> Result<Vec<Mount>> {
    let mut all = Vec::new();
    for (path, node) in reader.items(at)? {
        let at = At { path: &path, node };
        let (mut source, mut target) = (String::new(), None);
        match node {
            Node::Map(_) => {
                for (path, own, node) in reader.entries(at)? {
                    let at = At { path: &path, node };
                    match own {
                        "source" => source = reader.text(at)?,
                        "target" => target = Some(reader.text(at)?),
                        // The file's own, as for every file of a release: all can read it.
                        "uid" | "gid" | "mode" => {}
                        _ => return Err(unknown(reader, own, at, &[])),
                    }
                }
            }
            _ => source = reader.text(at)?,
        }
        let file = files.get(&(key.to_owned(), source.clone())).ok_or_else(|| {
            reader
                .invalid(&path, &format!("names {}, which {key} of the file does not have", excerpt(&source)))
        })?;
        let target = match target.unwrap_or(source) {
            target if target.starts_with('/') => target,
            target if key == "secrets" => format!("/run/secrets/{target}"),
            target => format!("/{target}"),
        };
        if !is_path(&target) {
            return Err(reader.invalid(&path, "has no path of the container as its target"));
        }
        all.push(Mount::Release { path: file.clone(), target });
    }
    Ok(all)
}
