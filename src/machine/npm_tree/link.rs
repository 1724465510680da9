//! The links of a tree: those to workspaces, and `.bin` with programs that are executable, as npm makes them.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::failure::{Failure, Result};
use crate::npm::{Bin, Link};

/// npm looks for the end of the first line in as many bytes.
const HEAD: u64 = 2048;
const LARGEST: u64 = 64 << 20;

pub fn links(links: &[Link], project: &Path) -> Result<()> {
    for link in links {
        let path = project.join(&link.path);
        parent(&path)?;
        symlink(&link.target, &path).map_err(|error| Failure::of_the_disk(&link.path, &error))?;
    }
    Ok(())
}

pub fn bins(bins: &[Bin], project: &Path) -> Result<()> {
    for bin in bins {
        let file = project.join(&bin.file);
        // npm makes no link to what the package does not have.
        let Ok(found) = fs::symlink_metadata(&file) else { continue };
        if found.is_symlink() {
            return Err(Failure::ForNpm(format!(
                "the program {} is a link",
                crate::secret::excerpt(&bin.file)
            )));
        }
        let path = project.join(&bin.path);
        parent(&path)?;
        symlink(&bin.target, &path).map_err(|error| Failure::of_the_disk(&bin.path, &error))?;
        let failed = |error: io::Error| Failure::of_the_disk(&bin.file, &error);
        fs::set_permissions(&file, Permissions::from_mode(0o755)).map_err(failed)?;
        if found.is_file() {
            unix_first_line(&file, &bin.file)?;
        }
    }
    Ok(())
}

/// Of a program whose first line names an interpreter, with a Windows line end: without it.
fn unix_first_line(file: &Path, shown: &str) -> Result<()> {
    let failed = |error: io::Error| Failure::of_the_disk(shown, &error);
    let mut head = Vec::new();
    fs::File::open(file).and_then(|file| file.take(HEAD).read_to_end(&mut head)).map_err(failed)?;
    let Some(line) =
        head.strip_prefix(b"#!").and_then(|rest| rest.split_inclusive(|byte| *byte == b'\n').next())
    else {
        return Ok(());
    };
    if !line.ends_with(b"\r\n") || line.len() < 3 {
        return Ok(());
    }
    let end = 2 + line.len() - 2;
    let length = fs::metadata(file).map_err(failed)?.len();
    let content = if length > LARGEST { Vec::new() } else { fs::read(file).map_err(failed)? };
    // npm would replace what is not UTF-8.
    if length > LARGEST || std::str::from_utf8(&content).is_err() {
        return Err(Failure::ForNpm(format!(
            "the program {} is not plain text",
            crate::secret::excerpt(shown)
        )));
    }
    let (before, after) = content.split_at(end.min(content.len()));
    let fixed = [before, after.get(1..).unwrap_or_default()].concat();
    let new = file.with_file_name(".bootagent-program");
    fs::write(&new, fixed).map_err(failed)?;
    fs::set_permissions(&new, Permissions::from_mode(0o755)).map_err(failed)?;
    fs::rename(&new, file).map_err(failed)
}

fn parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    match fs::create_dir_all(parent) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Failure::of_the_disk(&parent.display().to_string(), &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(content: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let bin = Bin {
            path: "node_modules/.bin/x".into(),
            target: "../x/x.js".into(),
            file: "node_modules/x/x.js".into(),
        };
        let file = directory.path().join(&bin.file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        let absent = Bin {
            path: "node_modules/.bin/y".into(),
            target: "../x/y.js".into(),
            file: "node_modules/x/y.js".into(),
        };
        bins(&[bin.clone(), absent], directory.path()).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_link(directory.path().join(&bin.path)).unwrap(), Path::new("../x/x.js"));
        assert!(fs::symlink_metadata(directory.path().join("node_modules/.bin/y")).is_err());
        fs::read_to_string(file).unwrap()
    }

    #[test]
    fn only_the_first_line_of_a_script_is_changed() {
        assert_eq!(fixed("#!/usr/bin/env node\r\na\r\n"), "#!/usr/bin/env node\na\r\n");
        for same in ["#!/usr/bin/env node\na\r\n", "a\r\nb", "#!\r\na", "", "#!", "#!node", "x#!/a\r\n"] {
            assert_eq!(fixed(same), same);
        }
    }
}
