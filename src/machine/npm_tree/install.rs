//! Makes a tree on disk: empties `node_modules`, makes the directories of packages, fills them, links.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use super::cache::Cache;
use super::failure::{Failure, Result};
use super::pool::Pool;
use super::{connect, download, link};
use crate::fault::Fault;
use crate::machine::web::trust;
use crate::npm::{Settings, Tree};

/// The hidden lockfile, which npm takes for the state of the tree.
const HIDDEN: &str = "node_modules/.package-lock.json";

/// `more_certificates` are trusted besides the machine's.
pub fn install(
    tree: &Tree,
    settings: &Settings,
    more_certificates: Option<&Path>,
    cache: &Cache,
    project: &Path,
) -> Result<()> {
    let roots = trust::store(settings.ca_file.as_deref().map(Path::new), more_certificates);
    let roots = roots.map_err(|error| {
        Failure::ForNpm(format!("the certificates cannot be read: {}", error.in_public()))
    })?;
    if roots.is_empty() {
        return Err(Failure::ForNpm("the machine has no certificates of authorities".to_owned()));
    }
    clear(tree, project)?;
    for package in &tree.packages {
        let path = project.join(&package.path);
        fs::create_dir_all(&path).map_err(|error| Failure::of_the_disk(&package.path, &error))?;
    }
    for path in &tree.leftovers {
        fs::create_dir_all(project.join(path)).map_err(|error| Failure::of_the_disk(path, &error))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(Fault::InstallFailed, format!("starting: {error}")))?;
    let connector = connect::tls(roots)?;
    let downloaded = runtime.block_on(async {
        let pool = Pool::new(connector, settings);
        download::packages(&tree.packages, &pool, cache, project).await
    });
    // Not waiting for threads of other packages, which cannot be cancelled, would leave them writing.
    drop(runtime);
    cache.bound();
    downloaded?;
    link::links(&tree.links, project)?;
    link::bins(&tree.bins, project)?;
    if project.join("node_modules").exists() {
        fs::write(project.join(HIDDEN), &tree.hidden)
            .map_err(|error| Failure::of_the_disk(HIDDEN, &error))?;
    }
    Ok(())
}

/// Makes the hidden lockfile younger than what install scripts wrote: npm does not believe an older one.
pub fn renew(project: &Path) {
    if let Ok(file) = fs::File::options().write(true).open(project.join(HIDDEN)) {
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Removes what the commit or an earlier attempt has in `node_modules`, as npm does.
pub fn clear(tree: &Tree, project: &Path) -> Result<()> {
    for directory in std::iter::once("").chain(tree.linked.iter().map(String::as_str)) {
        plain(project, directory)?;
        let modules = project.join(directory).join("node_modules");
        match fs::symlink_metadata(&modules) {
            Ok(found) if !found.is_dir() => {
                return Err(Failure::ForNpm("node_modules of the commit is not a directory".to_owned()));
            }
            Ok(_) => empty(&modules)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::of_the_disk("node_modules", &error)),
        }
    }
    Ok(())
}

/// No directory on the way to a workspace may be a link.
fn plain(project: &Path, directory: &str) -> Result<()> {
    let mut path = project.to_owned();
    for name in directory.split('/').filter(|name| !name.is_empty()) {
        path.push(name);
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            return Err(Failure::ForNpm(format!("{} is not a directory", crate::secret::excerpt(directory))));
        }
    }
    Ok(())
}

fn empty(modules: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Failure::of_the_disk("node_modules", &error);
    for entry in fs::read_dir(modules).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_directory = entry.file_type().map_err(failed)?.is_dir();
        let path = entry.path();
        let removed = if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.map_err(failed)?;
    }
    Ok(())
}
