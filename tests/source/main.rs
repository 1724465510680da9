//! The source, whole: the real binary as a child, real git on the other side of a real socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod app;
mod bundles;
mod children;
mod faults;
mod fetched;
mod local;
mod signed;
mod ssh;
mod trees;
mod unsupported;
mod written;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bootagent::error::{Code, Result};
use bootagent::facts::{Branch, CaFile, Commit, Source};
use bootagent::machine::git::credential::Credential;
use bootagent::machine::git::request::{CheckoutRequest, FetchRequest, Limits, Repository};
use bootagent::machine::jail::ask::ask;
use bootagent::machine::jail::child::Role;
use bootagent::machine::jail::request::Timeouts;
use bootagent::secret::Secret;
use tempfile::TempDir;

/// What must be seen nowhere.
const CANARY: &str = "canary-6f1c2a90";
/// `bot:canary-6f1c2a90`.
const PAIR: &str = "Ym90OmNhbmFyeS02ZjFjMmE5MA==";
/// Longer than anything here takes, on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(60);

fn exe() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_bootagent"))
}

/// Copies the program, by a process of its own: a child that another test starts meanwhile would inherit the new file open for
/// writing, and the kernel executes no such file (ETXTBSY).
fn copy_exe(to: &Path) {
    assert!(std::process::Command::new("cp").arg(exe()).arg(to).status().unwrap().success());
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn credential() -> Credential {
    Credential::Password { username: "bot".into(), password: Secret::new(CANARY) }
}

fn ca_file(path: &Path) -> CaFile {
    path.to_str().unwrap().try_into().unwrap()
}

/// A request and the scratch directory that it names.
struct Asking {
    request: FetchRequest,
    scratch: TempDir,
}

impl Asking {
    fn remote(url: impl Into<String>) -> Asking {
        Asking::of(Repository::Remote { url: url.into() })
    }

    fn local(path: impl Into<PathBuf>) -> Asking {
        Asking::of(Repository::Local { path: path.into() })
    }

    fn of(repository: Repository) -> Asking {
        let scratch = TempDir::new().unwrap();
        let request = FetchRequest {
            repository,
            branch: Branch::try_from("main").unwrap(),
            pinned: None,
            credential: None,
            host_keys: Vec::new(),
            signers: Vec::new(),
            submodules: true,
            scratch: scratch.path().to_owned(),
            network: Default::default(),
            timeouts: Timeouts { stall: Duration::from_secs(20), ..Timeouts::default() },
            limits: Limits::default(),
            evidence: ["package.json", "package-link.json", "bin/start", "absent.json"]
                .map(String::from)
                .into(),
        };
        Asking { request, scratch }
    }

    fn with(mut self, change: impl FnOnce(&mut FetchRequest)) -> Asking {
        change(&mut self.request);
        self
    }

    fn fetch(&self) -> Result<Source> {
        run(ask(exe(), Role::Fetch, &self.request, PATIENCE)).map_err(|error| error.in_public())
    }

    /// The code of the failure that must come, and all that is said of it.
    #[track_caller]
    fn fails(&self) -> (Code, String) {
        let error = self.fetch().expect_err("the fetch succeeded");
        assert!(!error.to_string().contains(CANARY), "{error}");
        (error.code(), error.to_string())
    }
}

fn check_out(repository: &Path, commit: &Commit, release: &Path) -> Result<()> {
    let request = CheckoutRequest {
        repository: repository.to_owned(),
        commit: commit.clone(),
        release: release.to_owned(),
        limits: Limits::default(),
    };
    run(ask(exe(), Role::Checkout, &request, PATIENCE))
}

fn named(id: git2::Oid) -> Commit {
    Commit::try_from(id.to_string()).unwrap()
}

/// Whether anything below the directory holds the text.
fn holds(directory: &Path, text: &str) -> bool {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            holds(&path, text)
        } else {
            let bytes = std::fs::read(&path).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        }
    })
}
