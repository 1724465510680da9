//! The service's environment as a list of files, one for each program that reads it. Data only; the planner writes the
//! text of each file in its reader's dialect.

use std::path::PathBuf;

use serde::Serialize;

use super::{Mode, Owner};
use crate::facts::Service;
use crate::secret::Sealed;

/// One file of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvFile {
    pub name: &'static str,
    /// Id of the step that writes it.
    pub step: &'static str,
    pub why: &'static str,
    pub mode: u32,
    /// Whether the service's group may read it. If not, only root may.
    pub is_shared: bool,
    /// Name of a symbolic link to it in the release.
    pub link: Option<&'static str>,
}

/// `EnvironmentFile=` of the unit. It has every variable.
pub const SERVICE: EnvFile = EnvFile {
    name: "env",
    step: "environment",
    why: "the service's environment, read by systemd",
    mode: 0o600,
    is_shared: false,
    link: None,
};

/// The `.env` for services that read one themselves.
pub const DOTENV: EnvFile = EnvFile {
    name: "dotenv",
    step: "dotenv",
    why: "the service's environment, for programs that read .env",
    mode: 0o640,
    is_shared: true,
    link: Some(".env"),
};

/// The files of every deployment, besides `MADE`. A run removes those that the new deployment does not have.
pub const FILES: [EnvFile; 2] = [SERVICE, DOTENV];

const fn made(name: &'static str, step: &'static str) -> EnvFile {
    let why = "a file of env.files, made of the service's variables";
    EnvFile { name, step, why, mode: 0o640, is_shared: true, link: None }
}

/// The files of `env.files`, in the order of their paths. A deployment has as many of them as its manifest names; each is
/// in memory, and the release has a link to it at the path.
pub const MADE: [EnvFile; 8] = [
    made("file-1", "file-1"),
    made("file-2", "file-2"),
    made("file-3", "file-3"),
    made("file-4", "file-4"),
    made("file-5", "file-5"),
    made("file-6", "file-6"),
    made("file-7", "file-7"),
    made("file-8", "file-8"),
];

/// Every file that a deployment can have.
pub fn all() -> impl Iterator<Item = EnvFile> {
    FILES.into_iter().chain(MADE)
}

impl EnvFile {
    pub fn owner(&self, service: &Service) -> Owner {
        match self.is_shared {
            true => Owner::new("root", service.as_str()),
            false => Owner::root(),
        }
    }
}

/// A set of the environment's files. Each set has paths of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvCopy {
    /// The files that the service reads.
    Serving,
    /// A copy of the files with which a deployment was healthy in this boot, readable only by root.
    Good,
    /// The files of a candidate, while it runs.
    Candidate,
    /// The files of a migration, while it runs.
    Migration,
}

/// The texts of the environment's files, for one set of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendering {
    service: Sealed,
    others: Vec<(EnvFile, Sealed)>,
}

impl Rendering {
    pub fn new(service: Sealed, others: Vec<(EnvFile, Sealed)>) -> Self {
        Rendering { service, others }
    }

    pub fn add(&mut self, file: EnvFile, text: Sealed) {
        self.others.push((file, text));
    }

    /// The text for systemd, which every rendering has.
    pub fn service(&self) -> &Sealed {
        &self.service
    }

    /// The files and texts for all other readers.
    pub fn others(&self) -> &[(EnvFile, Sealed)] {
        &self.others
    }

    pub fn text(&self, file: &EnvFile) -> Option<&Sealed> {
        match *file == SERVICE {
            true => Some(&self.service),
            false => self.others.iter().find(|(other, _)| other == file).map(|(_, text)| text),
        }
    }

    pub fn has_same_texts(&self, other: &Rendering) -> bool {
        // The texts alone: a copy that was read again does not know the names of its variables.
        all().all(|file| self.text(&file).map(Sealed::expose) == other.text(&file).map(Sealed::expose))
    }
}

/// A file with secrets that a unit sees under another path (`BindReadOnlyPaths=`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenFile {
    pub path: PathBuf,
    pub seen_as: PathBuf,
    pub content: Sealed,
    pub owner: Owner,
    pub mode: Mode,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_was_read_again_is_the_same_without_its_names() {
        let sealed = |key: &str, text: &str| Sealed::new(vec![key.to_owned()], text);
        let made =
            Rendering::new(sealed("TOKEN", "TOKEN=\"t\"\n"), vec![(DOTENV, sealed("TOKEN", "TOKEN=t\n"))]);
        let read =
            Rendering::new(sealed("those", "TOKEN=\"t\"\n"), vec![(DOTENV, sealed("those", "TOKEN=t\n"))]);
        assert!(read.has_same_texts(&made));
        let other =
            Rendering::new(sealed("those", "TOKEN=\"u\"\n"), vec![(DOTENV, sealed("those", "TOKEN=t\n"))]);
        assert!(!other.has_same_texts(&made));
        let more = Rendering::new(sealed("those", "TOKEN=\"t\"\n"), Vec::new());
        assert!(!more.has_same_texts(&made), "a file that only one of them has");
    }
}
