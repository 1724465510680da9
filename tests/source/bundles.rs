//! Git bundles: those of git, and those of our own. A bundle has the commit of a known id, or is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bootagent::error::Code;
use bootagent::machine::git::bundle::{PackRequest, Packed};
use bootagent::machine::git::request::Repository;
use bootagent::machine::jail::ask::ask;
use bootagent::machine::jail::child::Role;

use super::support::upstream::Upstream;
use super::{Asking, PATIENCE, check_out, exe, named, run};

fn git_bundle(upstream: &Upstream, arguments: &[&str]) -> PathBuf {
    let file = upstream.root().join("of-git.bundle");
    let line = ["bundle", "create", file.to_str().unwrap()];
    let done = Command::new("git").args(line).args(arguments).current_dir(upstream.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    file
}

fn of(path: &Path) -> Asking {
    Asking::of(Repository::Bundle { path: path.to_owned(), name: "the bundle".to_owned() })
}

#[test]
fn a_bundle_of_git_gives_its_branch_and_each_commit_of_its_history() {
    let upstream = Upstream::service();
    let first = Asking::local(upstream.path()).fetch().unwrap().commit;
    let second = named(upstream.commit("main", upstream.service_tree("2")));
    let bundle = git_bundle(&upstream, &["main"]);
    let asking = of(&bundle);
    let newest = asking.fetch().unwrap();
    assert_eq!(newest.commit, second);
    assert!(newest.has("package.json") && newest.text("package.json").is_some());
    let pinned = of(&bundle).with(|request| request.pinned = Some(first.clone().into()));
    assert_eq!(pinned.fetch().unwrap().commit, first);
    let release = upstream.root().join("release");
    fs::create_dir(&release).unwrap();
    check_out(asking.scratch.path(), &second, &release).unwrap();
    assert!(release.join("package.json").is_file());
}

#[test]
fn our_own_bundle_has_the_commit_alone() {
    let upstream = Upstream::service();
    let commit = named(upstream.commit("main", upstream.service_tree("2")));
    let file = upstream.root().join("own.bundle");
    let request = PackRequest {
        repository: upstream.path(),
        commit: commit.clone(),
        branch: "main".to_owned().try_into().unwrap(),
        file: file.clone(),
        limits: Default::default(),
    };
    assert_eq!(run(ask::<_, Packed>(exe(), Role::Pack, &request, PATIENCE)).unwrap(), Packed::Written);
    let read = of(&file).with(|request| request.pinned = Some(commit.clone().into())).fetch().unwrap();
    assert_eq!(read.commit, commit);
    assert!(read.has("package.json"));
}

#[test]
fn what_is_not_the_wanted_commit_is_refused() {
    let upstream = Upstream::service();
    let bundle = git_bundle(&upstream, &["main"]);
    let other = named(upstream.commit("main", upstream.service_tree("3")));
    let missing = of(&bundle).with(|request| request.pinned = Some(other.into())).fails();
    assert_eq!(missing.0, Code::CommitNotOnBranch, "{}", missing.1);
    let branch = of(&bundle).with(|request| request.branch = "other".to_owned().try_into().unwrap()).fails();
    assert_eq!(branch.0, Code::BranchMissing, "{}", branch.1);
    let difference = git_bundle(&upstream, &["main~1..main"]);
    assert!(of(&difference).fails().1.contains("difference"));
}

#[test]
fn a_damaged_bundle_is_refused() {
    let upstream = Upstream::service();
    let bundle = git_bundle(&upstream, &["main"]);
    let whole = fs::read(&bundle).unwrap();
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    for bytes in
        [whole[..whole.len() / 2].to_vec(), changed(whole.len() - 40), changed(whole.len() - 5), Vec::new()]
    {
        fs::write(&bundle, bytes).unwrap();
        let (code, said) = of(&bundle).fails();
        assert_eq!(code, Code::SourceUnsafe, "{said}");
    }
    fs::write(&bundle, &whole).unwrap();
    let limited = of(&bundle).with(|request| request.limits.pack_bytes = 100).fails();
    assert!(limited.1.contains("MiB"), "{}", limited.1);
}
