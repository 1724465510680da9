//! package.json, as far as a recipe needs it. npm accepts many shapes; what has another shape than expected is left out,
//! with a note if that may matter. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::forms;
use crate::error::{Code, Error, Result};
use crate::facts::Source;
use crate::planner::runtime::shell;
use crate::secret::excerpt;

/// Far more than a package.json has. A hostile one must not take much memory.
const MOST_ENTRIES: usize = 1000;
const MOST_ENGINES: usize = 100;

type Texts = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub struct Package {
    /// The file of another form than package.json that describes it. Only pnpm reads it.
    pub only_for_pnpm: Option<&'static str>,
    pub name: Option<String>,
    pub version: Option<String>,
    pub scripts: Texts,
    pub engines: Texts,
    /// Versions that Volta uses: `node`, `yarn`.
    pub volta: Texts,
    pub dependencies: Texts,
    pub dev_dependencies: Texts,
    pub optional_dependencies: Texts,
    /// What it is a plug-in of.
    pub peer_dependencies: Texts,
    pub main: Option<String>,
    /// The only program that the package would install.
    pub bin: Option<String>,
    /// The main file for bundlers, and for bun.
    pub module: Option<String>,
    /// `pnpm@9.15.0+sha512.HEX`, or the same from `devEngines`.
    pub package_manager: Option<String>,
    /// Whether `packageManager` is there.
    pub names_manager: bool,
    /// The versions that `devEngines` allows of it.
    pub manager_range: Option<String>,
    /// Patterns of the workspaces' directories.
    pub workspaces: Vec<String>,
    /// Whether its files are ECMAScript modules.
    pub is_module: bool,
    /// Values that npm gives to scripts as `npm_package_config_*`.
    pub config: Texts,
    /// What nodemon starts: `nodemonConfig`, or nodemon.json in its place.
    pub nodemon: Option<Nodemon>,
    /// Whether `pnpm` says which packages may run scripts.
    pub lists_built_dependencies: bool,
    /// Shapes that were not understood.
    pub notes: Vec<String>,
}

impl Package {
    /// Whether anything must be installed.
    pub fn has_dependencies(&self) -> bool {
        !self.dependencies.is_empty()
            || !self.dev_dependencies.is_empty()
            || !self.optional_dependencies.is_empty()
            || !self.workspaces.is_empty()
    }

    /// Whether an installation runs scripts of this package, other than some that only print a line.
    pub fn runs_at_install(&self) -> bool {
        const HOOKS: &[&str] =
            &["preinstall", "install", "postinstall", "prepare", "prepublish", "preprepare", "postprepare"];
        HOOKS.iter().filter_map(|hook| self.script(hook)).any(|line| !only_prints(line))
    }

    /// Whether a production installation has the package.
    pub fn depends_on(&self, name: &str) -> bool {
        self.dependencies.contains_key(name) || self.optional_dependencies.contains_key(name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.depends_on(name) || self.dev_dependencies.contains_key(name)
    }

    /// The major version that a dependency asks for first: 2 of `^2.15.8`.
    pub fn major(&self, name: &str) -> Option<u32> {
        let lists = [&self.dependencies, &self.optional_dependencies, &self.dev_dependencies];
        let range = lists.into_iter().find_map(|list| list.get(name))?;
        let digits = range.trim_start_matches(['^', '~', '=', 'v', ' ', '>']);
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    pub fn is_only_for_development(&self, name: &str) -> bool {
        !self.depends_on(name) && self.dev_dependencies.contains_key(name)
    }

    /// What npm tells the scripts that it runs. A program may read its version from there.
    pub fn script_variables(&self) -> Texts {
        let own = [("npm_package_name", &self.name), ("npm_package_version", &self.version)];
        let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let config = self.config.iter().filter(|(name, _)| is_name(name));
        let config = config.map(|(name, value)| (format!("npm_package_config_{name}"), value.clone()));
        own.chain(config).filter(|(_, value)| !value.contains(['\n', '\0'])).collect()
    }

    /// Whether the project says that bun runs it.
    pub fn is_for_bun(&self) -> bool {
        let start = self.script("start").and_then(|line| line.split_whitespace().next());
        start == Some("bun") || self.engines.contains_key("bun") && !self.engines.contains_key("node")
    }

    pub fn script(&self, name: &str) -> Option<&str> {
        self.scripts.get(name).map(String::as_str)
    }
}

/// What the configuration of nodemon names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodemon {
    /// The program, perhaps with its file.
    pub exec: Option<String>,
    pub script: Option<String>,
}

/// The text of nodemon.json. None if it is not an object, which nodemon refuses, too.
pub fn nodemon(text: &str) -> Option<Nodemon> {
    serde_json::from_str::<Map<String, Value>>(text).ok().as_ref().map(nodemon_of)
}

fn nodemon_of(object: &Map<String, Value>) -> Nodemon {
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::trim);
    let line =
        |name: &str| text(name).filter(|line| !line.is_empty() && !line.contains('\n')).map(str::to_owned);
    Nodemon { exec: line("exec"), script: line("script") }
}

/// The package of the repository's root.
pub fn package(source: &Source) -> Result<Package> {
    let path = forms::file(source).unwrap_or(forms::JSON);
    let text = source
        .read(path)
        .map_err(|why| bad(path, why.to_owned()).remedy("make it a plain, short text file"))?;
    let Some(text) = text else {
        let cause = "the manifest has runtime = \"node\", but the repository's root has no package.json";
        return Err(bad("package.json", cause.to_owned())
            .remedy("add a package.json, or remove runtime from bootagent.toml"));
    };
    parse(path, text)
}

pub fn parse(path: &str, text: &str) -> Result<Package> {
    if forms::is_yaml(path) {
        let object = forms::of_yaml(text).map_err(|why| {
            bad(path, format!("{path}: {why}")).remedy("correct it, or write it as package.json")
        })?;
        return read(path, &object);
    }
    let text = &forms::json(path, text);
    if !text.trim_start().starts_with('{') {
        return Err(bad(path, format!("{path}:1:1: it is not a JSON object")).remedy("npm init writes one"));
    }
    let object: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let (cause, _) = message.rsplit_once(" at line ").unwrap_or((&message, ""));
        let at = format!("{path}:{}:{}", error.line(), error.column());
        bad(path, format!("{at}: {}", excerpt(cause))).remedy("correct the line")
    })?;
    read(path, &object)
}

fn bad(path: &str, cause: String) -> Error {
    Error::new(Code::ManifestInvalid, format!("reading {path}"), cause)
}

fn read(path: &str, object: &Map<String, Value>) -> Result<Package> {
    let mut package = Package::default();
    let fields = [
        ("scripts", &mut package.scripts),
        ("engines", &mut package.engines),
        ("volta", &mut package.volta),
        ("dependencies", &mut package.dependencies),
        ("devDependencies", &mut package.dev_dependencies),
        ("optionalDependencies", &mut package.optional_dependencies),
        ("peerDependencies", &mut package.peer_dependencies),
        ("config", &mut package.config),
    ];
    let mut notes = Vec::new();
    for (name, field) in fields {
        *field = texts(path, name, object.get(name), &mut notes)?;
    }
    package.only_for_pnpm = forms::OF_PNPM.into_iter().find(|form| path.ends_with(form));
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    package.name = text("name");
    package.version = text("version");
    package.main = text("main").filter(|main| !main.trim().is_empty());
    package.package_manager = text("packageManager").or_else(|| development_manager(object));
    package.names_manager = text("packageManager").is_some();
    package.manager_range =
        development_engine(object).and_then(|engine| Some(engine.get("version")?.as_str()?.to_owned()));
    package.module = text("module");
    package.bin = match object.get("bin") {
        Some(Value::String(path)) => Some(path.clone()),
        Some(Value::Object(all)) if all.len() == 1 => {
            all.values().next().and_then(Value::as_str).map(str::to_owned)
        }
        _ => None,
    };
    // Node itself looks for `type` in package.json only.
    package.is_module = text("type").as_deref() == Some("module") && package.only_for_pnpm.is_none();
    package.nodemon = object.get("nodemonConfig").and_then(Value::as_object).map(nodemon_of);
    package.workspaces = workspaces(object.get("workspaces"));
    let pnpm = object.get("pnpm").and_then(Value::as_object);
    package.lists_built_dependencies = pnpm.is_some_and(|pnpm| {
        ["onlyBuiltDependencies", "neverBuiltDependencies", "ignoredBuiltDependencies"]
            .iter()
            .any(|key| pnpm.contains_key(*key))
    });
    package.notes = notes;
    Ok(package)
}

/// An object's entries with texts, numbers or booleans. Comments (`"//": [...]`) are left out silently, other shapes with
/// a note: npm itself ignores them.
fn texts(path: &str, name: &str, value: Option<&Value>, notes: &mut Vec<String>) -> Result<Texts> {
    let entries = match value {
        None | Some(Value::Null) => return Ok(Texts::new()),
        Some(Value::Object(entries)) => entries,
        // Old packages have engines: ["node >= 0.10"].
        Some(_) => {
            notes.push(format!(
                "{name} in {path} is not understood and ignored, as npm does: it is not an object"
            ));
            return Ok(Texts::new());
        }
    };
    let most = if name == "engines" { MOST_ENGINES } else { MOST_ENTRIES };
    if entries.len() > most {
        let cause = format!("{path}: {name} has {} entries; the limit is {most}", entries.len());
        return Err(bad(path, cause).remedy("remove unused entries"));
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    };
    Ok(entries.iter().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect())
}

/// `devEngines.packageManager`: `{"name": "pnpm", "version": "9.15.0"}`, or a list of them.
fn development_engine(object: &Map<String, Value>) -> Option<&Value> {
    let wanted = object.get("devEngines")?.get("packageManager")?;
    wanted.as_array().map_or(Some(wanted), |several| several.first())
}

/// As `packageManager` would name it. A range names no version, and is left out.
fn development_manager(object: &Map<String, Value>) -> Option<String> {
    let wanted = development_engine(object)?;
    let name = wanted.get("name")?.as_str()?;
    let exact = |version: &&str| nodejs_semver::Version::parse(version).is_ok();
    match wanted.get("version").and_then(Value::as_str).filter(exact) {
        Some(version) => Some(format!("{name}@{version}")),
        None => Some(name.to_owned()),
    }
}

/// A list, or an object with `packages`.
fn workspaces(value: Option<&Value>) -> Vec<String> {
    let list = match value {
        Some(Value::Object(object)) => object.get("packages"),
        other => other,
    };
    let patterns = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    patterns.take(MOST_ENTRIES).map(str::to_owned).collect()
}

fn only_prints(line: &str) -> bool {
    let prints = |part: &str| part.trim() == "true" || part.trim_start().starts_with("echo ");
    !line.contains(['$', '`', '>']) && shell::chain(line).is_some_and(|parts| parts.into_iter().all(prints))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Package {
        parse("package.json", text).unwrap()
    }

    #[test]
    fn shapes_that_npm_accepts_are_accepted() {
        let package = parsed(
            r#"{"engines": ["node >= 4"], "scripts": {"//": ["a comment"], "start": "node x"}, "main": false,
                "dependencies": {"express": "4", "odd": {"version": 1}}, "workspaces": {"packages": ["apps/*"]}}"#,
        );
        assert_eq!(package.scripts.len(), 1);
        assert_eq!(package.main, None);
        assert!(package.depends_on("express") && !package.has("odd"));
        assert_eq!(package.workspaces, ["apps/*"]);
        assert!(package.notes.len() == 1 && package.notes[0].contains("engines"), "{:?}", package.notes);
    }

    #[test]
    fn a_hook_that_only_prints_needs_no_development_dependency() {
        let runs = |hook: &str| {
            parsed(&serde_json::json!({"scripts": {"prepare": hook}}).to_string()).runs_at_install()
        };
        for hook in ["echo 'run \"npm audit\"'", "true", "echo a && echo b"] {
            assert!(!runs(hook), "{hook}");
        }
        for hook in [
            "husky",
            "echo a && tsc",
            "echo $(tsc)",
            "echo `tsc`",
            "echo a > b",
            "echo a | tee b",
            "echo a; tsc",
        ] {
            assert!(runs(hook), "{hook}");
        }
        assert!(!parsed("{}").runs_at_install());
    }

    #[test]
    fn a_package_manager_is_named_in_two_places() {
        let named = |text: &str| parsed(text).package_manager;
        assert_eq!(named(r#"{"packageManager": "pnpm@9.15.0"}"#).as_deref(), Some("pnpm@9.15.0"));
        let development = r#"{"devEngines": {"packageManager": {"name": "yarn", "version": "4.1.0"}}}"#;
        assert_eq!(named(development).as_deref(), Some("yarn@4.1.0"));
        let range = r#"{"devEngines": {"packageManager": {"name": "pnpm", "version": ">=9"}}}"#;
        assert_eq!(named(range).as_deref(), Some("pnpm"));
        assert_eq!(parsed(range).manager_range.as_deref(), Some(">=9"));
        let several =
            r#"{"devEngines": {"packageManager": [{"name": "pnpm", "version": ">=9"}, {"name": "npm"}]}}"#;
        assert_eq!(named(several).as_deref(), Some("pnpm"));
        assert_eq!(named(r#"{"devEngines": {"packageManager": []}}"#), None);
        assert_eq!(named("{}"), None);
    }

    #[test]
    fn what_is_not_a_package_names_its_line() {
        for (text, says) in [("[]", "1:1"), ("{\n\"a\": }", "2:"), ("{\"a\": 1,}", "package.json:1:")] {
            let error = parse("package.json", text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let long: Vec<String> = (0..1001).map(|at| format!("\"s{at}\": \"x\"")).collect();
        let text = format!("{{\"scripts\": {{{}}}}}", long.join(","));
        assert!(parse("package.json", &text).unwrap_err().to_string().contains("1001"));
    }
}
