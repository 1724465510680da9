//! The service's environment as a list of files: one for each reader, whose dialect the planner knows. Data only.

use super::Owner;
use crate::facts::Service;
use crate::secret::Sealed;

/// One file of the environment: what it is called, who may read it, and where the release shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvFile {
    pub name: &'static str,
    /// Its step in a plan.
    pub step: &'static str,
    pub why: &'static str,
    pub mode: u32,
    /// Whether the service's own group reads it, and not root alone.
    pub is_shared: bool,
    /// The link within a release that leads to it.
    pub link: Option<&'static str>,
}

/// Every variable, for systemd, which makes the service's process environment of it.
pub const SERVICE: EnvFile = EnvFile {
    name: "env",
    step: "environment",
    why: "the service's environment, read by systemd",
    mode: 0o600,
    is_shared: false,
    link: None,
};

/// For programs that read a `.env` themselves.
pub const DOTENV: EnvFile = EnvFile {
    name: "dotenv",
    step: "dotenv",
    why: "the same for readers of .env",
    mode: 0o640,
    is_shared: true,
    link: Some(".env"),
};

/// Every file that a generation may have. One that it has not is removed when it is put to run.
pub const FILES: [EnvFile; 2] = [SERVICE, DOTENV];

impl EnvFile {
    pub fn owner(&self, service: &Service) -> Owner {
        match self.is_shared {
            true => Owner::new("root", service.as_str()),
            false => Owner::root(),
        }
    }
}

/// The same list of files, in another place for another purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvCopy {
    /// What the service runs with.
    Serving,
    /// Root's alone: what passed the health check in this boot.
    Good,
    /// Of a candidate beside the service, as long as it runs.
    Candidate,
    /// Of a migration, as long as it lasts.
    Migration,
}

/// One set of variables in the dialects of its readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendering {
    service: Sealed,
    others: Vec<(EnvFile, Sealed)>,
}

impl Rendering {
    pub fn new(service: Sealed, others: Vec<(EnvFile, Sealed)>) -> Self {
        Rendering { service, others }
    }

    /// What systemd reads: there is one always.
    pub fn service(&self) -> &Sealed {
        &self.service
    }

    /// The files of all other readers.
    pub fn others(&self) -> &[(EnvFile, Sealed)] {
        &self.others
    }

    pub fn text(&self, file: &EnvFile) -> Option<&Sealed> {
        match *file == SERVICE {
            true => Some(&self.service),
            false => self.others.iter().find(|(other, _)| other == file).map(|(_, text)| text),
        }
    }

    pub fn says_the_same(&self, other: &Rendering) -> bool {
        let text = |rendering: &Rendering, file| rendering.text(file).map(|text| text.expose().to_owned());
        FILES.iter().all(|file| text(self, file) == text(other, file))
    }
}
