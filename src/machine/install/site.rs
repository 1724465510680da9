//! Makes a static site of a release: finds the directory with its pages, looks for values of the secret in its files, and
//! links to it. Changes nothing but the link.
//!
//! The build user owns the files, and root reads them: no symbolic link is followed, and a file that is not a regular one is
//! not read.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, openat};
use nix::sys::stat::{Mode, SFlag, fstatat};

use crate::error::{Code, Coded, Error, Result};
use crate::machine::Check;
use crate::machine::disk::files;
use crate::machine::disk::inside::is_below;
use crate::machine::disk::path_at::{Place, kind};
use crate::machine::disk::walk::{DIRECTORY, entries, walk};
use crate::plan::PublishSite;
use crate::secret::{ForeignText, Message, excerpt};

const PAGE: &str = "index.html";
/// Bytes that are read at once.
const PART: usize = 1 << 20;

/// `AlreadySo` if the link leads to the pages, and no file has a value of the secret.
pub fn check(site: &PublishSite) -> Result<Check> {
    if !files::exists(&site.release)? {
        return Ok(Check::WouldChange("absent".to_owned()));
    }
    let Ok(root) = root(site) else { return Ok(Check::WouldChange("no pages yet".to_owned())) };
    match files::check_link(&site.link, &root)? {
        Check::AlreadySo if search(site, &root).is_ok() => Ok(Check::AlreadySo),
        Check::AlreadySo => Ok(Check::WouldChange("not for everyone".to_owned())),
        other => Ok(other),
    }
}

pub fn publish(site: &PublishSite) -> Result<()> {
    let root = root(site)?;
    search(site, &root)?;
    files::link(&site.link, &root, true)
}

/// The bytes of a page of a site: `path` is a name in the directory that the release's link leads to.
pub fn page(path: &Path) -> Result<Option<Vec<u8>>> {
    let (Some(link), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    let root = files::target(link)?.filter(|root| root == Path::new(".") || is_below(root));
    let (Some(root), Some(release)) = (root, link.parent()) else { return Ok(None) };
    files::read(&release.join(root).join(name))
}

/// The first directory with a page, relative to the release.
fn root(site: &PublishSite) -> Result<PathBuf> {
    let doing = || format!("looking for the site in {}", site.release.display());
    let release = Place::open(&site.release, false).and_then(|place| place.open_directory()).doing(doing)?;
    for root in &site.roots {
        let names: Vec<&str> = root.split('/').filter(|name| *name != ".").collect();
        let mut found = Vec::new();
        pages(&release, &names, PathBuf::new(), &mut found);
        match found.as_slice() {
            [] => {}
            [one] if one.as_os_str().is_empty() => return Ok(PathBuf::from(".")),
            [one] => return Ok(one.clone()),
            several => {
                let each = several.iter().map(|path| Message::from(foreign(path)));
                let cause = Message::from("several directories have an index.html: ")
                    .and(Message::joined(each, ", "));
                return Err(Error::new(Code::SiteMissing, doing(), cause).remedy(
                    "name one in bootagent.toml: [static] with root = \"...\"; then: bootagent update",
                ));
            }
        }
    }
    let cause = format!("no {PAGE} in {}", site.roots.join(", "));
    let error = Error::new(Code::SiteMissing, doing(), cause);
    Err(match elsewhere(&release) {
        Some(path) => error.remedy(format!(
            "is {} the site? then name it in bootagent.toml: [static] with root = \"{0}\"; push a fix, then: bootagent update",
            excerpt(&path.to_string_lossy())
        )),
        None => error,
    })
}

/// A directory with a page whose name is not that of a build's sources.
fn elsewhere(release: &OwnedFd) -> Option<PathBuf> {
    let mut found = Vec::new();
    for names in [&["*"][..], &["*", "*"]] {
        pages(release, names, PathBuf::new(), &mut found);
    }
    const SOURCES: &[&str] = &["src", "public", "node_modules", "static", "app"];
    let is_source = |path: &PathBuf| {
        path.iter()
            .any(|name| name.as_bytes().starts_with(b".") || SOURCES.iter().any(|source| name == *source))
    };
    found.into_iter().find(|path| !is_source(path))
}

fn foreign(path: &Path) -> ForeignText {
    ForeignText::line(&path.to_string_lossy())
}

/// Adds the directories of this pattern that have a page.
fn pages(directory: &OwnedFd, names: &[&str], path: PathBuf, found: &mut Vec<PathBuf>) {
    let Some((name, rest)) = names.split_first() else {
        let stat = fstatat(directory, PAGE, AtFlags::AT_SYMLINK_NOFOLLOW);
        found.extend(stat.is_ok_and(|stat| kind(&stat) == SFlag::S_IFREG).then_some(path));
        return;
    };
    let all = match *name {
        "*" => entries(directory).unwrap_or_default(),
        name => vec![name.into()],
    };
    for name in all {
        if let Ok(inner) = openat(directory, name.as_os_str(), DIRECTORY, Mode::empty()) {
            pages(&inner, rest, path.join(name), found);
        }
    }
}

/// Fails if a file that is served has a value of the secret. Names with a dot at the beginning are not served.
fn search(site: &PublishSite, root: &Path) -> Result<()> {
    let finder = site.confidential.finder();
    if finder.is_empty() {
        return Ok(());
    }
    let doing = || format!("looking for values of the secret in {}", site.release.join(root).display());
    let top = site.release.join(root);
    let top = if root == Path::new(".") { site.release.clone() } else { top };
    let directory = Place::open(&top, false).and_then(|place| place.open_directory()).doing(doing)?;
    let mut found = None;
    walk(&directory, &is_served, &mut |file, path| {
        found = found.take().or(read(file, &finder)?.map(|name| (name.to_owned(), path.to_owned())));
        Ok(found.is_some())
    })
    .doing(doing)?;
    match found {
        None => Ok(()),
        Some((name, path)) => {
            let cause = Message::from(foreign(&path)).and(format!(" contains the value of {name}"));
            Err(Error::new(Code::SiteSecret, doing(), cause))
        }
    }
}

/// Whether a file or directory of the site is served.
fn is_served(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let is_hidden = name.as_bytes().starts_with(b".") && name != ".well-known";
    !is_hidden && path != Path::new("node_modules")
}

/// The variable whose value the file has. Read in parts: a site may have videos.
fn read<'a>(mut file: File, finder: &crate::secret::Finder<'a>) -> std::io::Result<Option<&'a str>> {
    let mut part = Vec::with_capacity(PART + finder.overlap());
    loop {
        let kept = part.len().min(finder.overlap());
        part.drain(..part.len() - kept);
        let more = (&mut file).take(PART as u64).read_to_end(&mut part)?;
        if more == 0 {
            return Ok(None);
        }
        if let Some(name) = finder.find(&part) {
            return Ok(Some(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Confidential, Redaction, Secret};

    const VALUE: &str = "hunter2-and-more";

    fn site(release: &Path, roots: &[&str]) -> PublishSite {
        let secret = Secret::new(VALUE);
        PublishSite {
            release: release.to_owned(),
            link: release.join(".site"),
            roots: roots.iter().map(|root| (*root).to_owned()).collect(),
            confidential: Confidential::new([("TOKEN", &secret)]),
        }
    }

    fn release(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let release = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = release.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        release
    }

    fn said(error: Error) -> String {
        error.redacted(&Redaction::default()).to_string()
    }

    #[test]
    fn the_first_directory_with_a_page_is_served() {
        let of = release(&[
            ("dist/app/browser/index.html", b"a"),
            ("public/index.html", b"b"),
            ("index.html", b"c"),
        ]);
        for (roots, leads) in [
            (&["dist", "dist/*/browser", "public"][..], "dist/app/browser"),
            (&["build", "public"], "public"),
            (&["."], "."),
        ] {
            let site = site(of.path(), roots);
            assert!(matches!(check(&site).unwrap(), Check::WouldChange(_)), "{roots:?}");
            publish(&site).unwrap();
            assert_eq!(std::fs::read_link(&site.link).unwrap(), Path::new(leads));
            assert_eq!(check(&site).unwrap(), Check::AlreadySo, "{roots:?}");
        }
        assert_eq!(page(&of.path().join(".site/index.html")).unwrap().unwrap(), b"c");
        assert_eq!(page(&of.path().join(".site/200.html")).unwrap(), None);
    }

    #[test]
    fn a_release_without_a_page_or_with_several_is_refused() {
        let none = release(&[("dist/app.js", b""), ("dist/index.html/x", b"")]);
        let error = publish(&site(none.path(), &["dist", "build"])).unwrap_err();
        assert_eq!(error.code(), Code::SiteMissing);
        assert!(said(error).contains("no index.html in dist, build"));
        let other = release(&[("public/index.html", b""), ("web/export/index.html", b"")]);
        let error = publish(&site(other.path(), &["dist"])).unwrap_err();
        assert!(error.report().remedy.contains("root = \"web/export\""), "{:?}", error.report().remedy);
        let several = release(&[("dist/a/index.html", b""), ("dist/b/index.html", b"")]);
        let error = publish(&site(several.path(), &["dist/*"])).unwrap_err();
        assert!(said(error).contains("dist/a, dist/b"));
    }

    #[test]
    fn a_link_out_of_the_release_is_not_followed() {
        let elsewhere = release(&[("index.html", VALUE.as_bytes())]);
        let of = release(&[("pages/index.html", b"")]);
        std::os::unix::fs::symlink(elsewhere.path(), of.path().join("dist")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("index.html"), of.path().join("pages/x")).unwrap();
        assert_eq!(publish(&site(of.path(), &["dist"])).unwrap_err().code(), Code::SiteMissing);
        publish(&site(of.path(), &["pages"])).unwrap();
    }

    #[test]
    fn a_value_of_the_secret_is_found_also_between_two_parts_of_a_file() {
        let mut long = vec![b'x'; PART - 7];
        long.extend(VALUE.as_bytes());
        for (path, content) in [
            ("dist/js/app.js", VALUE.as_bytes()),
            ("dist/.well-known/a", VALUE.as_bytes()),
            ("dist/video", &long),
        ] {
            let of = release(&[("dist/index.html", b"x"), (path, content)]);
            let site = site(of.path(), &["dist"]);
            let error = publish(&site).unwrap_err();
            assert_eq!(error.code(), Code::SiteSecret, "{path}");
            let said = said(error);
            assert!(said.contains(&path["dist/".len()..]) && said.contains("value of TOKEN"), "{said}");
            assert!(!said.contains(VALUE), "{said}");
            assert!(!site.link.exists());
        }
    }

    #[test]
    fn what_is_not_served_may_have_it() {
        let of = release(&[
            ("dist/index.html", b"x"),
            ("dist/.env", VALUE.as_bytes()),
            (".env", VALUE.as_bytes()),
        ]);
        publish(&site(of.path(), &["dist"])).unwrap();
        // A secret that was changed since makes a finished release a bad one.
        std::fs::write(of.path().join("dist/a.js"), VALUE).unwrap();
        assert!(matches!(check(&site(of.path(), &["dist"])).unwrap(), Check::WouldChange(_)));
    }
}
