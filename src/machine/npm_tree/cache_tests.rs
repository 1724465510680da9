//! What is in the cache is trusted by its hash only, and a cache that fails is as good as none.

use std::os::unix::fs::symlink;
use std::time::Duration;

use super::*;
use crate::npm::Algorithm;

fn integrity(hash: u8) -> Integrity {
    Integrity { algorithm: Algorithm::Sha512, hashes: vec![vec![hash; 64]] }
}

fn archive(content: &[u8], directory: &Path) -> Archive {
    let mut archive = Archive::new();
    archive.append(content, directory).unwrap();
    archive
}

fn cache() -> (tempfile::TempDir, Cache) {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache { has_room: true, ..Cache::below(Some(directory.path())) };
    (directory, cache)
}

fn content(archive: Option<Archive>) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    archive?.reader().unwrap().read_to_end(&mut all).unwrap();
    Some(all)
}

fn files(cache: &Cache) -> usize {
    fs::read_dir(cache.directory.as_ref().unwrap()).unwrap().count()
}

#[test]
fn an_archive_is_found_by_its_hash() {
    let (directory, cache) = cache();
    let large = vec![7; 3 << 20];
    for (hash, bytes) in [(1, &b"small"[..]), (2, &large)] {
        cache.keep(&integrity(hash), &mut archive(bytes, directory.path()));
        assert_eq!(content(cache.find(&integrity(hash))).as_deref(), Some(bytes));
    }
    assert!(cache.find(&integrity(3)).is_none());
    cache.forget(&integrity(1));
    assert!(cache.find(&integrity(1)).is_none());
    assert_eq!(files(&cache), 1);
}

#[test]
fn a_weak_hash_and_a_choice_of_hashes_are_not_kept() {
    let (directory, cache) = cache();
    let sha1 = Integrity { algorithm: Algorithm::Sha1, hashes: vec![vec![1; 20]] };
    let two = Integrity { algorithm: Algorithm::Sha512, hashes: vec![vec![1; 64], vec![2; 64]] };
    for integrity in [sha1, two] {
        cache.keep(&integrity, &mut archive(b"x", directory.path()));
        assert!(cache.find(&integrity).is_none());
    }
    assert_eq!(files(&cache), 0);
}

#[test]
fn an_installation_adds_no_more_than_the_cache_may_have() {
    let (directory, cache) = cache();
    cache.rest.store(5, Relaxed);
    for (hash, bytes) in [(1, &b"four"[..]), (2, b"four"), (3, b"x"), (4, b"y")] {
        // A clone, as each download has.
        cache.clone().keep(&integrity(hash), &mut archive(bytes, directory.path()));
    }
    let kept = [1, 2, 3, 4].map(|hash| cache.find(&integrity(hash)).is_some());
    assert_eq!(kept, [true, false, true, false]);
}

#[test]
fn links_pipes_and_directories_are_not_read() {
    let (directory, cache) = cache();
    let secret = directory.path().join("secret");
    fs::write(&secret, "x").unwrap();
    let at = |hash: u8| cache.directory.as_ref().unwrap().join(name(&integrity(hash)).unwrap());
    symlink(&secret, at(1)).unwrap();
    nix::unistd::mkfifo(&at(2), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(at(3)).unwrap();
    for hash in 1..4 {
        assert!(cache.find(&integrity(hash)).is_none(), "{hash}");
    }
    // What is kept under that name replaces the link, and is not written through it.
    cache.keep(&integrity(1), &mut archive(b"new", directory.path()));
    assert_eq!(fs::read(&secret).unwrap(), b"x");
    assert_eq!(content(cache.find(&integrity(1))).as_deref(), Some(&b"new"[..]));
    symlink(
        &secret,
        cache.directory.as_ref().unwrap().join(format!("{UNFINISHED}{}", name(&integrity(4)).unwrap())),
    )
    .unwrap();
    cache.keep(&integrity(4), &mut archive(b"new", directory.path()));
    assert_eq!(fs::read(&secret).unwrap(), b"x");
}

#[test]
fn what_was_not_used_for_the_longest_time_goes() {
    let (directory, cache) = cache();
    for hash in 1..=4 {
        cache.keep(&integrity(hash), &mut archive(&[hash; 100], directory.path()));
        let age = Duration::from_secs(u64::from(10 - hash));
        let file =
            File::open(cache.directory.as_ref().unwrap().join(name(&integrity(hash)).unwrap())).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
    fs::write(cache.directory.as_ref().unwrap().join(".unfinished-x"), [0; 9]).unwrap();
    drop(cache.find(&integrity(1)));
    cache.bound_to(250);
    let left: Vec<u8> = (1..=4).filter(|hash| cache.find(&integrity(*hash)).is_some()).collect();
    assert_eq!((left, files(&cache)), (vec![1, 4], 2));
}

#[test]
fn a_cache_that_cannot_be_is_none() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("archives"), "").unwrap();
    for cache in [
        Cache::below(None),
        Cache::below(Some(Path::new("relative"))),
        Cache::below(Some(directory.path())),
        Cache::below(Some(Path::new("/proc/no/such"))),
    ] {
        cache.keep(&integrity(1), &mut archive(b"x", directory.path()));
        assert!(cache.find(&integrity(1)).is_none());
        cache.bound();
    }
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(directory.path(), elsewhere.path().join("archives")).unwrap();
    assert!(Cache::below(Some(elsewhere.path())).directory.is_none());
}

#[test]
fn without_room_nothing_new_is_kept() {
    let (directory, cache) = cache();
    cache.keep(&integrity(1), &mut archive(b"x", directory.path()));
    let full = Cache { has_room: false, ..cache };
    full.keep(&integrity(2), &mut archive(b"x", directory.path()));
    assert!(full.find(&integrity(1)).is_some() && full.find(&integrity(2)).is_none());
}
