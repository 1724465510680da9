//! Tests: which archives are packed, and what is refused when they are unpacked.

use std::fs;
use std::os::unix::fs::symlink;

use sha2::{Digest, Sha512};

use super::*;

/// A directory with a lockfile of these packages, and a cache with the archives of some of them.
fn stage(packages: &[(&str, &str)], kept: &[&str]) -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let archives = scratch.path().join("npm/archives");
    fs::create_dir_all(&archives).unwrap();
    let mut entries = vec![r#""": {}"#.to_owned()];
    for (name, more) in packages {
        let hash = Sha512::digest(name);
        let integrity = data_encoding::BASE64.encode(&hash);
        entries.push(format!(r#""node_modules/{name}": {{{more}"integrity": "sha512-{integrity}"}}"#));
        if kept.contains(name) {
            fs::write(archives.join(file(name)), name).unwrap();
        }
    }
    let text = format!(r#"{{"lockfileVersion": 3, "packages": {{{}}}}}"#, entries.join(", "));
    fs::write(scratch.path().join("package-lock.json"), text).unwrap();
    scratch
}

fn file(name: &str) -> String {
    format!("sha512-{}", data_encoding::HEXLOWER.encode(&Sha512::digest(name)))
}

fn packed(scratch: &Path, most: u64) -> Result<()> {
    let at = |name: &str| scratch.join(name);
    pack(&PackRequest {
        lockfile: at("package-lock.json"),
        omits_development: true,
        cache: at("npm"),
        archive: at("packed"),
        most,
    })
}

#[test]
fn packed_archives_are_unpacked_into_another_cache() {
    let scratch = stage(&[("a", ""), ("b", ""), ("only-on-a-mac", r#""optional": true, "#)], &["a", "b"]);
    let at = |name: &str| scratch.path().join(name);
    fs::write(at("npm/archives").join(file("of another lockfile")), "x").unwrap();
    packed(scratch.path(), 1 << 20).unwrap();
    fs::create_dir(at("other")).unwrap();
    let text = fs::read_to_string(at("package-lock.json")).unwrap();
    assert!(has_all(&text, true, &at("npm")) && !has_all(&text, true, &at("other")));
    let request = UnpackRequest { archive: at("packed"), start: 0, cache: at("other") };
    // A second time, too: what is there stays.
    for _ in 0..2 {
        unpack(&request).unwrap();
        assert!(has_all(&text, true, &at("other")));
        assert_eq!(fs::read_dir(at("other/archives")).unwrap().count(), 2);
        assert_eq!(fs::read_to_string(at("other/archives").join(file("b"))).unwrap(), "b");
    }
}

#[test]
fn what_is_not_whole_is_not_packed() {
    for (kept, most, why) in [(&["a"][..], 1 << 20, "not all of them"), (&["a", "b"], 2500, "too large")] {
        let scratch = stage(&[("a", ""), ("b", "")], kept);
        let error = packed(scratch.path(), most).unwrap_err();
        assert!(error.code() == Code::CacheRefused && error.to_string().contains(why), "{error}");
    }
    let scratch = stage(&[("a", "")], &["a"]);
    // What another program put in its place is not read.
    let archive = scratch.path().join("npm/archives").join(file("a"));
    fs::remove_file(&archive).unwrap();
    symlink("/etc/hostname", &archive).unwrap();
    assert!(packed(scratch.path(), 1 << 20).unwrap_err().to_string().contains("not all of them"));
    fs::write(scratch.path().join("package-lock.json"), "{").unwrap();
    fs::remove_file(scratch.path().join("packed")).unwrap();
    let error = packed(scratch.path(), 1 << 20).unwrap_err().in_public().to_string();
    assert!(error.contains("not valid JSON"), "{error}");
}

#[test]
fn hostile_entries_are_refused_and_nothing_is_written_elsewhere() {
    let good = format!("sha256-{}", "0".repeat(64));
    for (kind, name, content) in [
        (EntryType::Regular, "../x", "x"),
        (EntryType::Regular, "/tmp/x", "x"),
        (EntryType::Regular, "sha512-abc", "x"),
        (EntryType::Regular, "sha1-0123456789012345678901234567890123456789", "x"),
        (EntryType::Symlink, good.as_str(), ""),
        (EntryType::Directory, good.as_str(), ""),
        (EntryType::Fifo, good.as_str(), ""),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        let mut header = Header::new_gnu();
        // The safe setters refuse such names.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut plain = header.as_bytes().to_vec();
        plain.extend(content.as_bytes());
        plain.resize(plain.len().next_multiple_of(512) + 1024, 0);
        fs::write(at("packed"), plain).unwrap();
        fs::create_dir(at("npm")).unwrap();
        let error = unpack(&UnpackRequest { archive: at("packed"), start: 0, cache: at("npm") }).unwrap_err();
        let error = error.in_public().to_string();
        assert!(error.contains("something else than archives"), "{kind:?} {name}: {error}");
        assert_eq!(fs::read_dir(at("npm/archives")).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn an_archive_that_ends_early_is_not_kept() {
    let scratch = stage(&[("a", "")], &["a"]);
    let at = |name: &str| scratch.path().join(name);
    fs::write(at("npm/archives").join(file("a")), vec![1; 3000]).unwrap();
    packed(scratch.path(), 1 << 20).unwrap();
    let whole = fs::read(at("packed")).unwrap();
    fs::write(at("packed"), &whole[..2000]).unwrap();
    fs::create_dir(at("other")).unwrap();
    unpack(&UnpackRequest { archive: at("packed"), start: 0, cache: at("other") }).unwrap_err();
    let left: Vec<_> = fs::read_dir(at("other/archives")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
