//! The managers, a row each: lockfiles, commands, variables. Sources: the managers' own references, and what the versions
//! named here do in tests.

/// One package manager.
#[derive(Debug)]
pub struct Manager {
    /// As `packageManager` names it.
    pub name: &'static str,
    pub program: &'static str,
    /// The package of the registry that has the program. None for npm, which comes with Node.
    pub package: Option<&'static str>,
    /// Where the program is in the directory of the installed tool.
    pub programs: &'static str,
    pub lockfiles: &'static [&'static str],
    /// Installs all dependencies, exactly as locked.
    pub everything: &'static [&'static str],
    /// The same without those for development. None if the manager can only remove them later, or not at all.
    pub production: Option<&'static [&'static str]>,
    /// Removes the dependencies for development, and runs no scripts.
    pub prune: Option<&'static [&'static str]>,
    /// Installs without a lockfile, and writes none.
    pub unlocked: &'static [&'static str],
    /// Directory below the build user's cache.
    pub cache: &'static str,
    /// Variables of install and build commands; `{cache}` is that directory.
    pub variables: &'static [(&'static str, &'static str)],
    /// Variables by which it does not check `engines`, which `node.version` overrides.
    pub any_engine: &'static [(&'static str, &'static str)],
}

pub static NPM: Manager = Manager {
    name: "npm",
    program: "npm",
    package: None,
    programs: "node_modules/.bin",
    lockfiles: &["package-lock.json", "npm-shrinkwrap.json"],
    everything: &["ci", "--no-audit", "--no-fund", "--include=dev"],
    production: Some(&["ci", "--no-audit", "--no-fund", "--omit=dev"]),
    prune: Some(&["prune", "--omit=dev", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]),
    unlocked: &["install", "--no-audit", "--no-fund", "--no-package-lock", "--include=dev"],
    cache: "npm",
    variables: &[],
    any_engine: &[("npm_config_engine_strict", "false")],
};

pub static YARN_CLASSIC: Manager = Manager {
    name: "yarn",
    program: "yarn",
    package: Some("yarn"),
    programs: "node_modules/.bin",
    lockfiles: &["yarn.lock"],
    everything: &["install", "--frozen-lockfile", "--non-interactive", "--production=false"],
    production: Some(&["install", "--frozen-lockfile", "--non-interactive", "--production=true"]),
    prune: Some(&[
        "install",
        "--frozen-lockfile",
        "--non-interactive",
        "--production=true",
        "--ignore-scripts",
        "--prefer-offline",
    ]),
    unlocked: &["install", "--no-lockfile", "--non-interactive", "--production=false"],
    cache: "yarn",
    variables: &[("YARN_CACHE_FOLDER", "{cache}")],
    any_engine: &[("YARN_IGNORE_ENGINES", "true")],
};

pub static YARN_BERRY: Manager = Manager {
    name: "yarn",
    program: "yarn",
    package: Some("@yarnpkg/cli-dist"),
    programs: "node_modules/.bin",
    lockfiles: &["yarn.lock"],
    everything: &["install", "--immutable"],
    production: None,
    // Since yarn 4; before, it needs a plugin.
    prune: Some(&["workspaces", "focus", "--all", "--production"]),
    unlocked: &["install", "--no-immutable"],
    cache: "yarn-berry",
    variables: &[
        ("YARN_GLOBAL_FOLDER", "{cache}"),
        ("YARN_ENABLE_TELEMETRY", "0"),
        ("YARN_ENABLE_PROGRESS_BARS", "false"),
    ],
    any_engine: &[],
};

pub static PNPM: Manager = Manager {
    name: "pnpm",
    program: "pnpm",
    package: Some("pnpm"),
    programs: "node_modules/.bin",
    lockfiles: &["pnpm-lock.yaml"],
    everything: &["install", "--frozen-lockfile", "--prod=false"],
    production: Some(&["install", "--frozen-lockfile", "--prod"]),
    prune: Some(&["prune", "--prod", "--ignore-scripts"]),
    unlocked: &["install", "--no-lockfile", "--prod=false"],
    cache: "pnpm",
    variables: &[
        // The version is the one that the plan names: pnpm would fetch another by itself. Up to version 10 it reads npm's
        // prefix, since 11 its own.
        ("npm_config_manage_package_manager_versions", "false"),
        ("npm_config_package_manager_strict", "false"),
        ("pnpm_config_pm_on_fail", "ignore"),
        ("npm_config_store_dir", "{cache}"),
        ("pnpm_config_store_dir", "{cache}"),
        // A hard link into the store would let a later build change the files of an older release.
        ("npm_config_package_import_method", "clone-or-copy"),
        ("pnpm_config_package_import_method", "clone-or-copy"),
        // As npm's: pnpm itself would wait for minutes before the whole installation is repeated.
        ("pnpm_config_fetch_retries", "5"),
        ("pnpm_config_fetch_retry_factor", "3"),
        ("pnpm_config_fetch_retry_maxtimeout", "10000"),
        ("pnpm_config_fetch_retry_mintimeout", "500"),
    ],
    any_engine: &[("npm_config_engine_strict", "false"), ("pnpm_config_engine_strict", "false")],
};

pub static BUN: Manager = Manager {
    name: "bun",
    program: "bun",
    package: Some("@oven/bun-linux-x64"),
    programs: "node_modules/@oven/bun-linux-x64/bin",
    lockfiles: &["bun.lock", "bun.lockb"],
    everything: &["install", "--frozen-lockfile"],
    production: Some(&["install", "--frozen-lockfile", "--production"]),
    prune: None,
    unlocked: &["install", "--no-save"],
    cache: "bun",
    variables: &[("BUN_INSTALL_CACHE_DIR", "{cache}")],
    any_engine: &[],
};

/// In the order in which errors name them.
pub static ALL: [&Manager; 5] = [&NPM, &YARN_CLASSIC, &YARN_BERRY, &PNPM, &BUN];
