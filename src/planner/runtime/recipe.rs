//! The types of runtimes and recipes. A runtime is data and functions; from a commit it makes a recipe: commands,
//! variables and needs, without paths of other commits or secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::command::Start;
use super::compose::project::Project;
use super::container::Container;
use super::data_host::server::DataHost;
use super::directory::Directory;
use crate::facts::{Facts, Mirrors, Network, Places, Source};
use crate::fault::Phase;
use crate::observe::manifest::{Manifest, Table};
use crate::observe::{Archives, PackagesAllowed, Selection};
use crate::plan::layout::Layout;
use crate::plan::{Archive, InstallTool, Setting};
use crate::planner::env::Dialect;
use crate::planner::network;
use crate::planner::unmet::Unmet;

/// All that is specific to one runtime.
#[derive(Debug)]
pub struct Runtime {
    /// Its name in manifests.
    pub name: &'static str,
    /// Paths of the files whose text a fetch must read.
    pub evidence: &'static [&'static str],
    /// The programs to look for on the machine.
    pub programs: &'static [Places],
    /// Its table of the manifest.
    pub table: Table,
    /// The programs that the policy may allow or pin as archives.
    pub archives: &'static [ArchiveNames],
    /// Names of the mirrors that the policy may set.
    pub mirrors: &'static [&'static str],
    /// Variables by which its tools take a file of certificates in place of the system's.
    pub bundles: &'static [&'static str],
    /// The dialect of a `.env` for its services.
    pub dialect: &'static Dialect,
    /// Variables for proxy, CA file and mirrors that only its tools read.
    pub network: fn(&Network, &Mirrors) -> BTreeMap<String, String>,
    /// Whether a commit is for this runtime, judged by file names in its root.
    pub detect: fn(&Source) -> Option<Claim>,
    pub recipe: fn(&RecipeInputs) -> Result<Recipe, Unmet>,
}

/// The names that archives of one program may have in the policy.
#[derive(Debug)]
pub struct ArchiveNames {
    pub program: &'static str,
    pub is_one: fn(&str) -> bool,
    pub example: &'static str,
}

/// The file by which a runtime recognizes a commit, and how certain that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub by: &'static str,
    pub weight: Weight,
}

/// How certain a claim is, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A Dockerfile, which counts only if nothing else tells how the service is built.
    Image,
    /// A web page at the root, which a service of another runtime may have.
    Page,
    /// A program at the root, which may be there for another purpose.
    Program,
    /// A file such as package.json, which a service of another runtime may have for its tools.
    Package,
    Lockfile,
}

/// The inputs of a recipe.
pub struct RecipeInputs<'a> {
    pub source: &'a Source,
    pub manifest: &'a Manifest,
    pub facts: &'a Facts,
    pub archives: &'a Archives,
    pub mirrors: &'a Mirrors,
    pub packages: &'a PackagesAllowed,
    pub network: &'a Network,
    /// Whether dependencies without a lockfile are an error.
    pub requires_lockfile: bool,
    /// Whether the policy leaves every installation of Node's packages to their package manager.
    pub npm_installs: bool,
    pub layout: &'a Layout,
    pub starts: Starts,
}

/// What a recipe must start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    /// The service, by the manifest's command or a convention.
    Service,
    /// What a supervisor's file in the repository names, so that no start command is needed.
    BySupervisor,
    /// Nothing: a directory that is only built.
    Nothing,
}

impl Starts {
    pub fn of(is_started_by_supervisor: bool) -> Starts {
        if is_started_by_supervisor { Starts::BySupervisor } else { Starts::Service }
    }
}

/// A version that fits any request, for plans without a machine (`bootagent validate`).
pub const ANY_VERSION: &str = "any";

/// How this commit is installed and started on this machine.
#[derive(Debug)]
pub struct Recipe {
    pub of: &'static Runtime,
    pub runtime: String,
    /// The versions with one ABI, which can use the same installed packages: `node 22`.
    pub runtime_line: String,
    /// The file or key that requests this version, and the request: `.nvmrc: 22`.
    pub chosen_by: String,
    /// What else was chosen, and by which convention.
    pub settings: Vec<Setting>,
    /// The service's directory in the release.
    pub directory: Directory,
    /// Recipes of the directories that are built before the service. Nothing of them is started.
    pub first: Vec<Recipe>,
    /// What must be installed before the commands of `work` run.
    pub needs: Vec<Need>,
    /// The commands to install and build, run in order, in the release, as the build user.
    pub work: Vec<Work>,
    pub build_environment: BTreeMap<String, String>,
    /// Variables for installing a tool that all services use. Nothing of the commit determines them.
    pub tool_environment: BTreeMap<String, String>,
    /// The version of Node, if bootagent's own installer carries out the `npm ci` of such a tool.
    pub tool_installer: Option<String>,
    /// Whether the HOME of the build is in the release, and the service finds there what the build left in `~/.cache`.
    pub keeps_home: bool,
    pub start: Start,
    /// The start line and its convention, if only a file's name speaks for it.
    pub guess: Option<String>,
    /// Whether it has a web framework, and so should listen on a port.
    pub is_web: bool,
    /// Paths of the release that the service may change: `writable` of the manifest.
    pub writable: Vec<String>,
    /// The migration commands: one `argv` each, run in order as the service's user before a new release serves.
    pub migrate: Vec<Vec<String>>,
    /// The same commands as lines of the manifest.
    pub migrate_lines: Vec<String>,
    /// Variables of these commands in addition to the service's environment.
    pub migrate_environment: BTreeMap<String, String>,
    /// The dialect of the service's `.env`.
    pub dotenv: &'static Dialect,
    /// Default variables of the service, such as NODE_ENV.
    pub defaults: BTreeMap<String, String>,
    /// Directories of installed packages' programs, relative to the release.
    pub programs: Vec<String>,
    /// Directories of the runtime's programs.
    pub path: Vec<String>,
    /// Caches that the package manager keeps from one build to the next.
    pub caches: Vec<PathBuf>,
    /// A dependency that stores uploaded files.
    pub stores_uploads: Option<&'static str>,
    /// Directories of the release that the service writes to, although the manifest does not name them.
    pub writes: Vec<String>,
    /// Of an installation by convention in the repository's root, which other directories may share.
    pub(super) root_install: Option<RootInstall>,
    pub kind: Kind,
    pub notes: Vec<String>,
}

/// What the service is.
#[derive(Debug)]
pub enum Kind {
    /// A program of the repository, which `start` starts.
    Program,
    /// Files of the release, which nginx serves.
    Site(Site),
    /// An image, which docker runs.
    Container(Container),
    /// The images of a compose file, which docker compose runs.
    Compose(Project),
    /// A database server of the distribution.
    DataHost(DataHost),
}

/// What is served, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Directories of the release, relative to it. The first one with an `index.html` is served. A `*` stands for one name.
    pub roots: Vec<String>,
    /// The page that answers a path without a file; none: 404.
    pub fallback: Option<String>,
    /// The path of nginx.
    pub nginx: PathBuf,
    /// Whether that nginx has the option `-e`, with which it writes errors elsewhere before it reads its configuration.
    pub takes_error_log: bool,
}

/// Something that must be installed before a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    Archive(Archive),
    /// A program that Node's package manager installs.
    Tool(InstallTool),
    /// Packages of the distribution.
    Packages(Vec<String>),
    /// A script of bootagent that the build runs. Root owns it.
    Script {
        path: PathBuf,
        text: &'static str,
    },
}

/// A command of the build.
#[derive(Debug)]
pub struct Work {
    pub name: String,
    pub why: String,
    pub argv: Vec<String>,
    /// The command for the fingerprint: the manifest's line, or an installer's command without flags that do not
    /// change the result.
    pub line: String,
    pub phase: Phase,
    /// The version of Node, if bootagent's own installer carries out this `npm ci`.
    pub own_installer: Option<String>,
}

/// How a recipe that installs by convention would install in the root.
#[derive(Debug)]
pub struct RootInstall {
    /// Installs all packages, also those for development.
    pub everything: Work,
    /// Removes those for development. None if the package manager cannot.
    pub prune: Option<Work>,
}

impl Recipe {
    /// A service of this kind without commands, variables and needs, which the runtime adds.
    pub fn new(of: &'static Runtime, kind: Kind) -> Recipe {
        Recipe {
            of,
            runtime: of.name.to_owned(),
            runtime_line: of.name.to_owned(),
            chosen_by: "runtime in bootagent.toml".to_owned(),
            settings: Vec::new(),
            directory: Directory::default(),
            first: Vec::new(),
            needs: Vec::new(),
            work: Vec::new(),
            build_environment: BTreeMap::new(),
            tool_environment: BTreeMap::new(),
            tool_installer: None,
            keeps_home: false,
            start: Start::none(),
            guess: None,
            is_web: false,
            writable: Vec::new(),
            migrate: Vec::new(),
            migrate_lines: Vec::new(),
            migrate_environment: BTreeMap::new(),
            dotenv: of.dialect,
            defaults: BTreeMap::new(),
            programs: Vec::new(),
            path: Vec::new(),
            caches: Vec::new(),
            stores_uploads: None,
            writes: Vec::new(),
            root_install: None,
            kind,
            notes: Vec::new(),
        }
    }

    /// The recipes of all directories, in the order in which they are built: the service's is the last one.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &Recipe> {
        self.first.iter().chain([self])
    }

    /// The service's directory in this tree: a release, or `current`.
    pub fn tree(&self, tree: &Path) -> PathBuf {
        self.directory.of(tree)
    }

    /// Where the writable paths are, seen from a release or from the link to the current one.
    pub fn writable_in(&self, release: &Path) -> Vec<PathBuf> {
        let tree = self.tree(release);
        self.writable.iter().map(|path| tree.join(path)).collect()
    }

    /// The directory that a command of the build runs in.
    pub fn tree_of(&self, work: &str, release: &Path) -> PathBuf {
        match self.directory.of_the_root.contains(work) {
            true => release.to_owned(),
            false => self.tree(release),
        }
    }

    /// Whether a command runs in the repository's root.
    pub(super) fn runs_in_the_root(&self, work: &Work) -> bool {
        self.directory.path().is_none() || self.directory.of_the_root.contains(&work.name)
    }

    /// A recipe that was made as if the directory were the root: its paths become those of the release.
    pub(super) fn moved(mut self, directory: Option<&str>) -> Recipe {
        let Some(directory) = directory else { return self };
        let below = |path: &String| match path.as_str() {
            "." => directory.to_owned(),
            path => format!("{directory}/{path}"),
        };
        self.programs = self.programs.iter().map(below).collect();
        self.programs.append(&mut self.directory.programs_of_the_root);
        if let Kind::Site(site) = &mut self.kind {
            site.roots = site.roots.iter().map(below).collect();
        }
        self.directory.path = Some(directory.to_owned());
        self
    }

    /// The dialect of the service's `.env`; none if it has no such file. Nothing of a site reads one, and it could be
    /// served; a container does not see the release, and a database server reads none.
    pub fn dotenv(&self, manifest: &Manifest) -> Option<&'static Dialect> {
        let is_program = matches!(self.kind, Kind::Program);
        (manifest.env.file && is_program).then_some(self.dotenv)
    }

    pub fn site(&self) -> Option<&Site> {
        match &self.kind {
            Kind::Site(site) => Some(site),
            _ => None,
        }
    }

    pub fn container(&self) -> Option<&Container> {
        match &self.kind {
            Kind::Container(container) => Some(container),
            _ => None,
        }
    }

    pub fn project(&self) -> Option<&Project> {
        match &self.kind {
            Kind::Compose(project) => Some(project),
            _ => None,
        }
    }

    pub fn data_host(&self) -> Option<&DataHost> {
        match &self.kind {
            Kind::DataHost(host) => Some(host),
            _ => None,
        }
    }

    /// PATH for commands in this directory: a release, or `current`.
    pub fn search_path(&self, tree: &Path) -> String {
        let packages = self.programs.iter().map(|programs| tree.join(programs).display().to_string());
        let all = packages.chain(self.path.iter().cloned());
        all.chain(["/usr/local/bin:/usr/bin:/bin".to_owned()]).collect::<Vec<_>>().join(":")
    }

    /// PATH for installing a tool that all services use: without the release, whose packages may have a program `node`.
    pub fn tool_path(&self) -> String {
        let all = self.path.iter().map(String::as_str).chain(["/usr/local/bin:/usr/bin:/bin"]);
        all.collect::<Vec<_>>().join(":")
    }

    /// Proxy, CA file and mirrors as variables of the recipe's commands.
    pub fn network(&self, selection: &Selection) -> BTreeMap<String, String> {
        network::environment(&selection.network, (self.of.network)(&selection.network, &selection.mirrors))
    }
}
