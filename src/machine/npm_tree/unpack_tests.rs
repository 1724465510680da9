//! Hostile and unusual archives: each is refused or left to npm, and nothing is written outside of the package.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use super::super::archive::Archive;
use super::super::failure::{Failure, Result};
use super::unpack;
use crate::fault::Fault;
use crate::npm::{Address, Algorithm, Bundle, Bundled, Integrity, Package};

struct Entry<'a> {
    name: &'a str,
    kind: EntryType,
    mode: u32,
    content: &'a [u8],
}

fn file<'a>(name: &'a str, content: &'a str) -> Entry<'a> {
    Entry { name, kind: EntryType::Regular, mode: 0o644, content: content.as_bytes() }
}

fn special(name: &str, kind: EntryType) -> Entry<'_> {
    Entry { name, kind, mode: 0o644, content: b"" }
}

/// The names are written as they are, which the builder of the `tar` crate refuses.
fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in entries {
        let mut header = Header::new_gnu();
        let name = entry.name.as_bytes();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_mode(entry.mode);
        header.set_size(entry.content.len() as u64);
        header.set_entry_type(entry.kind);
        if matches!(entry.kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name_literal("../../../../etc/passwd").unwrap();
        }
        header.set_cksum();
        all.extend(header.as_bytes());
        all.extend(entry.content);
        all.resize(all.len().next_multiple_of(512), 0);
    }
    all.resize(all.len() + 1024, 0);
    all
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn package() -> Package {
    Package {
        path: "node_modules/a".to_owned(),
        id: "a@1.0.0".to_owned(),
        address: Address::parse("https://r.test/a.tgz").unwrap(),
        credential: None,
        is_guess: false,
        programs: Vec::new(),
        integrity: Integrity { algorithm: Algorithm::Sha512, hashes: Vec::new() },
        has_scripts: false,
        is_optional: false,
        bundle: Bundle::default(),
    }
}

fn unpacked_bytes(bytes: &[u8], check: impl FnOnce(&Path)) -> Result<u64> {
    unpacked_package(&package(), bytes, check)
}

fn unpacked_package(package: &Package, bytes: &[u8], check: impl FnOnce(&Path)) -> Result<u64> {
    let project = tempfile::tempdir().unwrap();
    let root = project.path().join("node_modules/a");
    fs::create_dir_all(&root).unwrap();
    let mut archive = Archive::new();
    archive.append(bytes, project.path())?;
    let done = unpack(&mut archive, package, project.path());
    check(&root);
    let beside: Vec<_> =
        fs::read_dir(project.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["node_modules"], "something was written outside of the package");
    assert_eq!(fs::read_dir(project.path().join("node_modules")).unwrap().count(), 1);
    done
}

fn unpacked(entries: &[Entry], check: impl FnOnce(&Path)) -> Result<u64> {
    unpacked_bytes(&gzip(&tar(entries)), check)
}

#[track_caller]
fn is_refused(done: Result<u64>) {
    assert!(matches!(done, Err(Failure::Fault { fault: Fault::PackageUnusable, .. })), "{done:?}");
}

#[track_caller]
fn is_for_npm(done: Result<u64>) {
    assert!(matches!(done, Err(Failure::ForNpm(_))), "{done:?}");
}

#[test]
fn files_get_npm_s_modes_and_names() {
    let exe = |mode| Entry { name: "package/x", kind: EntryType::Regular, mode, content: b"x" };
    for (given, made) in [
        (0o644, 0o644),
        (0o755, 0o755),
        (0o600, 0o644),
        (0o777, 0o755),
        (0, 0o644),
        (0o4755, 0o755),
        (0o111, 0o755),
        (0o100_664, 0o644),
    ] {
        let check = |root: &Path| {
            assert_eq!(
                fs::metadata(root.join("x")).unwrap().permissions().mode() & 0o7777,
                made,
                "{given:o}"
            );
        };
        unpacked(&[exe(given)], check).unwrap();
    }
    let entries = [
        file("other-top/index.js", "1"),
        file("package/a/b/c.js", "2"),
        file("package/.gitignore", "3"),
        file("package/d/.npmignore", "4"),
        file("package/d/.gitignore", "5"),
        file("package/README.md", "6"),
        file("package/readme.md", "7"),
        file("package/twice", "8"),
        file("package/./twice", "9"),
        special("package/e/", EntryType::Directory),
        special("pax", EntryType::XGlobalHeader),
    ];
    let done = unpacked(&entries, |root| {
        let read = |path: &str| fs::read_to_string(root.join(path)).ok();
        for (path, content) in [
            ("index.js", "1"),
            ("a/b/c.js", "2"),
            (".npmignore", "3"),
            ("d/.npmignore", "4"),
            ("README.md", "6"),
            ("readme.md", "7"),
            ("twice", "9"),
        ] {
            assert_eq!(read(path).as_deref(), Some(content), "{path}");
        }
        for absent in [".gitignore", "d/.gitignore", "e", "pax"] {
            assert!(!root.join(absent).exists(), "{absent}");
        }
    });
    assert_eq!(done.unwrap(), 8);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let long = format!("package/{}", "a/".repeat(20) + &"b".repeat(40));
    unpacked(&[file(&long, "x")], |root| assert!(root.join("a").exists())).unwrap();
    for name in [
        "/etc/cron.d/x",
        "/package/x",
        "../x",
        "package/../x",
        "package/../../x",
        "package/a/../../../x",
        "package/..",
        "..",
        "../../package/x",
        "package/x/..",
        "//x",
    ] {
        is_refused(unpacked(&[file("package/first", "x"), file(name, "evil")], |_| ()));
    }
}

#[test]
fn links_are_left_out_and_nothing_is_written_through_them() {
    for kind in [EntryType::Symlink, EntryType::Link] {
        unpacked(&[special("package/l", kind), file("package/x", "1")], |root| {
            assert!(fs::symlink_metadata(root.join("l")).is_err());
            assert!(root.join("x").exists());
        })
        .unwrap();
        // The name becomes a directory of its own.
        unpacked(&[special("package/l", kind), file("package/l/passwd", "1")], |root| {
            assert!(root.join("l").is_dir())
        })
        .unwrap();
    }
}

#[test]
fn devices_are_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        is_refused(unpacked(&[special("package/d", kind)], |root| assert!(!root.join("d").exists())));
    }
}

#[test]
fn names_of_an_unusual_form_are_for_npm() {
    for name in [
        "package",
        "x",
        "./package/x",
        "package/a\nb",
        "package/\u{1b}[0m",
        "package/node_modules/b/index.js",
    ] {
        is_for_npm(unpacked(&[file(name, "x")], |_| ()));
    }
    is_for_npm(unpacked(&[special("package/s", EntryType::GNUSparse)], |_| ()));
    is_for_npm(unpacked(&[special("package/v", EntryType::new(b'V'))], |_| ()));
    let mut bytes = tar(&[file("package/x", "1")]);
    bytes[8] = 0xff;
    is_for_npm(unpacked_bytes(&gzip(&bytes), |_| ()));
}

#[test]
fn a_file_and_a_directory_of_one_name_are_for_npm() {
    is_for_npm(unpacked(&[file("package/a", "1"), file("package/a/b", "2")], |_| ()));
    is_for_npm(unpacked(&[file("package/a/b", "1"), file("package/a", "2")], |_| ()));
}

#[test]
fn a_native_addon_without_a_script_is_for_npm() {
    is_for_npm(unpacked(&[file("package/binding.gyp", "{}")], |_| ()));
    unpacked(&[file("package/deps/binding.gyp", "{}")], |_| ()).unwrap();
}

#[test]
fn what_is_not_an_archive_is_for_npm() {
    let whole = gzip(&tar(&[file("package/x", "1")]));
    for bytes in [
        &b""[..],
        b"<html>",
        &whole[..20],
        &whole[..whole.len() / 2],
        &tar(&[file("package/x", "1")]),
        &gzip(b"not a tar"),
    ] {
        is_for_npm(unpacked_bytes(bytes, |_| ()));
    }
}

#[test]
fn an_archive_without_an_end_is_refused() {
    // A header that claims a long name of 8 MiB, and one whose content is longer than all that may be unpacked.
    let name = "a".repeat(8 << 20);
    is_refused(unpacked(
        &[
            Entry { name: "././@LongLink", kind: EntryType::GNULongName, mode: 0, content: name.as_bytes() },
            file("x", ""),
        ],
        |_| (),
    ));
    let mut bytes = tar(&[file("package/x", "1")]);
    let mut header = Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&bytes[..512]);
    header.set_size(3 << 30);
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    is_refused(unpacked_bytes(&gzip(&bytes), |_| ()));
    let many: Vec<Entry> = (0..100_001).map(|_| special("package/d/", EntryType::Directory)).collect();
    is_refused(unpacked(&many, |_| ()));
}

#[test]
fn an_archive_is_verified_before_it_is_read() {
    let bytes = gzip(&tar(&[file("package/x", "1")]));
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &bytes);
    let directory = tempfile::tempdir().unwrap();
    let mut right = package();
    right.integrity.hashes = vec![vec![0; 64], hash.as_ref().to_vec()];
    let mut archive = Archive::new();
    archive.append(&bytes, directory.path()).unwrap();
    archive.verify(&right).unwrap();
    archive.append(b"x", directory.path()).unwrap();
    let altered = archive.verify(&right).unwrap_err();
    assert!(matches!(altered, Failure::Fault { fault: Fault::PackageAltered, .. }));
    // A large one is in a file.
    let mut large = Archive::new();
    for _ in 0..3 {
        large.append(&vec![7; 600 << 10], directory.path()).unwrap();
    }
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &vec![7; 1800 << 10]);
    right.integrity.hashes = vec![hash.as_ref().to_vec()];
    large.verify(&right).unwrap();
    assert_eq!(large.length(), 1800 << 10);
}

/// Of a package that brings `b` and `@s/c` along.
fn unpacked_bundle(more: &[Entry], check: impl FnOnce(&Path)) -> Result<u64> {
    let locked = |version: &str| {
        serde_json::Map::from_iter([
            ("version".to_owned(), version.into()),
            ("inBundle".to_owned(), true.into()),
        ])
    };
    let bundle = Bundle::new(vec![
        Bundled::new("node_modules/b".to_owned(), locked("1.0.0")),
        Bundled::new("node_modules/@s/c".to_owned(), locked("2.0.0")),
    ]);
    let mut entries = vec![
        file("package/package.json", r#"{"name": "a"}"#),
        file("package/node_modules/b/package.json", r#"{"name": "b", "version": "1.0.0"}"#),
        file("package/node_modules/@s/c/package.json", r#"{"name": "@s/c", "version": "2.0.0"}"#),
    ];
    entries.extend(more.iter().map(|entry| Entry { ..*entry }));
    unpacked_package(&Package { bundle, ..package() }, &gzip(&tar(&entries)), check)
}

#[test]
fn listed_packages_in_the_archive_are_unpacked_as_the_rest_is() {
    let exe =
        Entry { name: "package/node_modules/b/x", kind: EntryType::Regular, mode: 0o777, content: b"x" };
    let link = special("package/node_modules/b/l", EntryType::Symlink);
    let more = [
        exe,
        link,
        file("package/node_modules/b/.gitignore", "1"),
        file("package/node_modules/b/lib/node_modules/d/e", "2"),
    ];
    unpacked_bundle(&more, |root| {
        let inside = root.join("node_modules/b");
        assert_eq!(fs::metadata(inside.join("x")).unwrap().permissions().mode() & 0o7777, 0o755);
        assert!(inside.join(".npmignore").exists() && inside.join("lib/node_modules/d/e").exists());
        assert!(fs::symlink_metadata(inside.join("l")).is_err());
        assert!(root.join("node_modules/@s/c/package.json").exists());
    })
    .unwrap();
}

#[test]
fn an_archive_with_other_packages_than_the_lockfile_lists_is_for_npm() {
    for name in [
        "package/node_modules/d/package.json",
        "package/node_modules/B/package.json",
        "package/node_modules/@s/d/package.json",
        "package/node_modules/b/node_modules/d/package.json",
        "package/node_modules/.bin/x",
        "package/node_modules/.package-lock.json",
        "package/node_modules/x",
        "package/node_modules/b/binding.gyp",
        "package/package-lock.json",
        "package/npm-shrinkwrap.json",
        "package/yarn.lock",
        "package/node_modules/b",
    ] {
        is_for_npm(unpacked_bundle(&[file(name, "{}")], |_| ()));
    }
    for (name, content) in [
        ("package/package.json", "{"),
        ("package/package.json", r#"{"name": "a", "workspaces": ["x"]}"#),
        ("package/node_modules/b/package.json", "{"),
        ("package/node_modules/b/package.json", r#"{"name": "b", "version": "1.0.1"}"#),
        ("package/node_modules/b/package.json", r#"{"name": "c", "version": "1.0.0"}"#),
        (
            "package/node_modules/b/package.json",
            r#"{"name": "b", "version": "1.0.0", "scripts": {"install": "x"}}"#,
        ),
    ] {
        is_for_npm(unpacked_bundle(&[file(name, content)], |_| ()));
    }
    let without = Bundle::new(vec![Bundled::new("node_modules/b".to_owned(), serde_json::Map::new())]);
    let bytes = gzip(&tar(&[file("package/package.json", "{}"), file("package/node_modules/b/x", "1")]));
    is_for_npm(unpacked_package(&Package { bundle: without, ..package() }, &bytes, |_| ()));
}

#[test]
fn packages_in_the_archive_lead_nowhere_else() {
    for name in [
        "package/node_modules/../../x",
        "package/node_modules/b/../../../x",
        "package/node_modules/b/..",
        "/node_modules/b/x",
    ] {
        is_refused(unpacked_bundle(&[file(name, "evil")], |_| ()));
    }
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        is_refused(unpacked_bundle(&[special("package/node_modules/b/d", kind)], |_| ()));
    }
    let through =
        [special("package/node_modules/b/l", EntryType::Symlink), file("package/node_modules/b/l/x", "1")];
    unpacked_bundle(&through, |root| assert!(root.join("node_modules/b/l").is_dir())).unwrap();
    let many: Vec<Entry> =
        (0..100_001).map(|_| special("package/node_modules/b/d/", EntryType::Directory)).collect();
    is_refused(unpacked_bundle(&many, |_| ()));
}
