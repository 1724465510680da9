//! The types of database servers: what is specific to one, and what its texts depend on. Data only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::facts::{Machine, Protocol};

/// All that is specific to one server.
#[derive(Debug)]
pub struct Server {
    /// The runtime's name, and that of the data directory.
    pub name: &'static str,
    pub port: u16,
    /// The protocol in which the health check asks.
    pub protocol: Protocol,
    /// The distribution's packages. `version`: the one that the manifest names.
    pub packages: fn(version: Option<&str>) -> Vec<String>,
    /// The packages' own units, masked before they are installed: they would run a second server, with the
    /// distribution's configuration.
    pub own_units: &'static [&'static str],
    /// A version of the program in a directory of its own, found when the packages are there.
    pub versions: Option<Versions>,
    /// The first user's variables: without the password, the run is refused.
    pub user: Option<&'static str>,
    pub default_user: &'static str,
    pub password: &'static str,
    /// A database for that user, if this variable names one.
    pub database: Option<&'static str>,
    /// Its files below /opt/<service>, by name.
    pub files: fn(&Described) -> Vec<(&'static str, String)>,
    pub argv: fn(&Described) -> Vec<String>,
    /// A command before each start, as the service's user and with the service's variables.
    pub before_start: fn(&Described) -> Option<Vec<String>>,
    /// The signal after which it ends without waiting for its clients, if that is not SIGTERM.
    pub stop_signal: Option<&'static str>,
    /// Makes the first data in the directory `$new`, with the first user in it. Runs once for each data directory.
    pub script: &'static str,
}

#[derive(Debug)]
pub struct Versions {
    /// Directories that may hold one, the distribution's first. A `*` stands for the version. Distributions with RPM packages
    /// have [`RPM_DIRECTORY`] besides.
    pub directories: &'static [&'static str],
    /// The program in such a directory.
    pub program: &'static str,
}

/// The directory of a server whose version no directory names.
pub const RPM_DIRECTORY: &str = "/usr";

/// A server on this machine.
#[derive(Clone, Debug)]
pub struct DataHost {
    pub server: &'static Server,
    /// The addresses at which it listens, loopback among them.
    pub listen: Vec<String>,
    /// The manifest's table.
    pub settings: BTreeMap<String, String>,
}

/// What the texts of a server's files depend on.
pub struct Described<'a> {
    pub host: &'a DataHost,
    /// The distribution: some call the program otherwise.
    pub machine: &'a Machine,
    pub port: u16,
    /// /opt/<service>, with the files.
    pub home: &'a Path,
    /// /var/lib/<service>, where only the service's user may enter.
    pub state: &'a Path,
    /// The data directory.
    pub data: &'a Path,
}

impl Described<'_> {
    pub fn file(&self, name: &str) -> String {
        self.home.join(name).display().to_string()
    }

    pub fn setting(&self, key: &str) -> Option<&str> {
        self.host.settings.get(key).map(String::as_str)
    }

    /// The program of a server with [`Versions`]: a link leads to the version that fits the data.
    pub fn versioned(&self, program: &str) -> String {
        let name = self.host.server.name;
        link(self.home, name).join(program).display().to_string()
    }
}

/// The link to the server's version.
pub fn link(home: &Path, server: &str) -> PathBuf {
    home.join(server)
}
