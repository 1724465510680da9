//! What a repository depends on, as far as a plan must know it: which packages there are, and what of a requirements.txt
//! leads elsewhere. What a line means to the last letter is pip's business.

use std::collections::BTreeSet;

use crate::error::{Code, Error, Result};
use crate::facts::{Evidence, Source};
use crate::planner::runtime::recipe::RecipeInputs;
use crate::planner::unmet::{Unmet, require_texts};
use crate::secret::{excerpt, without_userinfo};

/// A requirements.txt may lead to others; a person keeps no longer list.
const MOST_FILES: usize = 20;

/// Names of packages, as indexes compare them.
pub type Names = BTreeSet<String>;

/// The packages of a requirements.txt and of those that it includes.
pub fn read(inputs: &RecipeInputs, first: &str, notes: &mut Vec<String>) -> Result<Names, Unmet> {
    let (mut names, mut ahead, mut seen) = (Names::new(), vec![first.to_owned()], BTreeSet::new());
    let mut loose = false;
    while let Some(path) = ahead.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        if seen.len() > MOST_FILES {
            let cause = format!("they are more than {MOST_FILES}");
            return Err(Error::new(
                Code::ManifestInvalid,
                "reading the files that requirements.txt includes",
                cause,
            )
            .into());
        }
        for line in lines(text(inputs.source, &path)?) {
            match entry(&line) {
                Entry::File(other) => ahead.push(inside(&path, &beside(&path, other))?),
                Entry::Path(other) => drop(inside(&path, other)?),
                Entry::Index(address) => index(inputs, &path, address, notes)?,
                Entry::Package(name, extras, pinned) => {
                    names.extend(implied(&name, &extras));
                    names.insert(name);
                    loose |= !pinned;
                }
                Entry::Option(option) => refuse_option(inputs, &path, option)?,
                Entry::Other => {}
            }
        }
    }
    if loose {
        notes.push(format!("{first} leaves versions open: two boots may install two different services"));
    }
    Ok(names)
}

fn text<'a>(source: &'a Source, path: &str) -> Result<&'a str, Unmet> {
    require_texts(source, &[path])?;
    let bad = |why: &str| Error::new(Code::ManifestInvalid, format!("reading {}", excerpt(path)), why);
    match source.evidence_of(path) {
        Evidence::Text(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Evidence::Unread(why) => Err(bad(why).remedy("make it a plain, short text file").into()),
        Evidence::Absent | Evidence::NeverAsked => Err(bad("there is no such file in the repository")
            .remedy("commit the file, or take out what includes it")
            .into()),
    }
}

/// Without comments; a line that ends with a backslash goes on.
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut whole = String::new();
    for line in text.lines() {
        let line = match line.find('#').filter(|at| *at == 0 || line[..*at].ends_with([' ', '\t'])) {
            Some(at) => &line[..at],
            None => line,
        };
        // pip does not continue a line that ends with a backslash and a blank.
        match line.strip_suffix('\\') {
            Some(start) => whole.push_str(start),
            None => {
                whole.push_str(line);
                lines.push(std::mem::take(&mut whole).trim().to_owned());
            }
        }
    }
    lines.push(whole.trim().to_owned());
    lines.retain(|line| !line.is_empty());
    lines
}

enum Entry<'a> {
    File(&'a str),
    /// A directory or an archive that is to be installed.
    Path(&'a str),
    Index(&'a str),
    Package(String, Vec<String>, bool),
    /// An option that is not read here.
    Option(&'a str),
    Other,
}

/// Options of pip that name no file and no server. pip also accepts abbreviations and several options on one line, with
/// which a repository could name another index than the policy's: only these are accepted, each on its own line.
const OPTIONS: &[&str] = &[
    "--pre",
    "--prefer-binary",
    "--no-binary",
    "--only-binary",
    "--require-hashes",
    "--no-index",
    "--use-feature",
];

fn is_plain_option(line: &str) -> bool {
    let (name, value) = line.split_once(['=', ' ', '\t']).unwrap_or((line, ""));
    OPTIONS.contains(&name) && !value.split_whitespace().any(|word| word.starts_with('-'))
}

fn entry(line: &str) -> Entry<'_> {
    let after = |names: &[&str]| {
        names.iter().find_map(|name| {
            let rest = line.strip_prefix(name)?;
            let ends = rest.starts_with(['=', ' ', '\t']) || (!name.starts_with("--") && !rest.is_empty());
            ends.then(|| rest.trim_start_matches(['=', ' ', '\t']).trim())
        })
    };
    let is_several =
        line.starts_with('-') && line.split_whitespace().skip(1).any(|word| word.starts_with('-'));
    if is_several {
        return Entry::Option(line);
    }
    if let Some(file) = after(&["--requirement", "-r", "--constraint", "-c"]) {
        return Entry::File(file);
    }
    if let Some(path) = after(&["--editable", "-e"]) {
        return path_or_other(path);
    }
    if let Some(address) = after(&["--index-url", "-i", "--extra-index-url", "--find-links", "-f"]) {
        return match address.contains("://") {
            true => Entry::Index(address),
            false => Entry::Path(address),
        };
    }
    if line.starts_with('-') {
        return if is_plain_option(line) { Entry::Other } else { Entry::Option(line) };
    }
    let name: String = line.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    let rest = line[name.len()..].trim_start();
    if let Some(address) = rest.strip_prefix('@').or(rest.split_once("] @").map(|(_, address)| address)) {
        return match path_or_other(address.trim()) {
            Entry::Other => Entry::Package(normal(&name), Vec::new(), true),
            path => path,
        };
    }
    let is_path = line.starts_with(['.', '/', '~'])
        || line.contains("://")
        || line.starts_with("file:")
        || rest.starts_with('/');
    if is_path || name.is_empty() {
        return path_or_other(line.split_whitespace().next().unwrap_or(line));
    }
    let extras = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(extras, _)| extras);
    let extras = extras.unwrap_or_default().split(',').map(|extra| extra.trim().to_lowercase()).collect();
    Entry::Package(normal(&name), extras, rest.contains("==") || rest.contains("--hash"))
}

/// `--trusted-host` ends the check of a server's certificate: not for the policy's index.
fn refuse_option(inputs: &RecipeInputs, path: &str, line: &str) -> Result<()> {
    if inputs.mirrors.get("pypi").is_none()
        && line.starts_with("--trusted-host")
        && line.split_whitespace().count() < 3
    {
        return Ok(());
    }
    let cause = format!("{} is not an option that bootagent accepts there", excerpt(line));
    Err(Error::new(Code::ManifestInvalid, format!("reading {}", excerpt(path)), cause).remedy(format!(
        "write each option in full and alone on its line ({}), or say what is installed with install = [...] in bootagent.toml",
        OPTIONS.join(", ")
    )))
}

/// A git address is fetched by git; a local one must be the repository's own.
fn path_or_other(text: &str) -> Entry<'_> {
    match text.strip_prefix("file://").or(text.strip_prefix("file:")) {
        Some(path) => Entry::Path(path),
        None if text.contains("://") || text.starts_with("git+") => Entry::Other,
        None => Entry::Path(text),
    }
}

/// Of a file that another one includes: from where that one stands.
fn beside(from: &str, path: &str) -> String {
    match from.rsplit_once('/') {
        Some((directory, _)) if !path.starts_with('/') => format!("{directory}/{path}"),
        _ => path.to_owned(),
    }
}

/// The path without `.` and `..`, if it stays in the repository.
fn inside(from: &str, path: &str) -> Result<String> {
    let mut parts: Vec<&str> = Vec::new();
    let leads_out = path.starts_with(['/', '~'])
        || path.contains("${")
        || path.split('/').any(|part| match part {
            "" | "." => false,
            ".." => parts.pop().is_none(),
            part => {
                parts.push(part);
                false
            }
        });
    match leads_out {
        false => Ok(parts.join("/")),
        true => {
            let cause = format!("it names {}, which is outside of the repository", excerpt(path));
            Err(Error::new(Code::SourceUnsafe, format!("reading {}", excerpt(from)), cause)
                .remedy("put it into the repository, or name a package of an index"))
        }
    }
}

/// A policy that names an index means that one: another one could answer for a package's name.
fn index(inputs: &RecipeInputs, path: &str, address: &str, notes: &mut Vec<String>) -> Result<()> {
    let shown = excerpt(&without_userinfo(address));
    match inputs.mirrors.get("pypi") {
        Some(mirror) if mirror.as_str() == address.trim_end_matches('/') => Ok(()),
        Some(mirror) => {
            let cause = format!("it names the index {shown}, and the policy names {mirror}");
            Err(Error::new(Code::PolicyRefused, format!("reading {}", excerpt(path)), cause).remedy(
                "take the line out, and have the policy's index (mirrors.pypi) serve these packages, too",
            ))
        }
        None => {
            notes.push(format!("packages may come from {shown}, too: {} says so", excerpt(path)));
            Ok(())
        }
    }
}

/// As PEP 503 compares names.
pub fn normal(name: &str) -> String {
    let parts: Vec<&str> = name.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect();
    parts.join("-").to_lowercase()
}

/// What an extra is known to bring.
fn implied(name: &str, extras: &[String]) -> Vec<String> {
    let has = |extra: &str| extras.iter().any(|one| one == extra);
    match name {
        "fastapi" if has("standard") || has("all") => vec!["uvicorn".to_owned()],
        "psycopg" => ["binary", "c"]
            .iter()
            .filter(|extra| has(extra))
            .map(|extra| format!("psycopg-{extra}"))
            .collect(),
        _ => Vec::new(),
    }
}

/// The packages that uv.lock or poetry.lock names: both have a line `name = "..."` for each.
pub fn of_lock(text: &str) -> Names {
    let name = |line: &str| Some(normal(line.strip_prefix("name = \"")?.strip_suffix('"')?));
    text.lines().filter_map(name).collect()
}

pub fn of_pipfile_lock(text: &str) -> Names {
    let lock: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let packages = lock["default"].as_object();
    packages.into_iter().flat_map(|packages| packages.keys()).map(|name| normal(name)).collect()
}

/// The Python that Pipfile.lock was made for, else the one that its Pipfile asks for.
pub fn of_pipfile(source: &Source) -> Option<(String, &'static str)> {
    let lock = || {
        let lock: serde_json::Value = serde_json::from_str(source.text("Pipfile.lock")?).ok()?;
        let requires = &lock["_meta"]["requires"];
        let version = requires["python_full_version"].as_str().or(requires["python_version"].as_str())?;
        Some((version.to_owned(), "Pipfile.lock"))
    };
    let pipfile = || {
        let table: toml::Table = source.text("Pipfile")?.parse().ok()?;
        let requires = table.get("requires")?;
        let version = requires.get("python_full_version").or(requires.get("python_version"))?.as_str()?;
        Some((version.to_owned(), "Pipfile"))
    };
    lock().or_else(pipfile)
}

pub fn requires_python(pyproject: &str) -> Option<String> {
    let table: toml::Table = pyproject.parse().ok()?;
    let project = table.get("project").and_then(|project| project.get("requires-python"));
    let poetry = || table.get("tool")?.get("poetry")?.get("dependencies")?.get("python");
    project.or_else(poetry)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(line: &str) -> Option<(String, bool)> {
        match entry(line) {
            Entry::Package(name, _, pinned) => Some((name, pinned)),
            _ => None,
        }
    }

    #[test]
    fn packages_are_known_by_their_names() {
        for (line, name, pinned) in [
            ("Flask==3.1.2", "flask", true),
            ("flask", "flask", false),
            ("zope.interface >= 5 ; python_version < '3.12'", "zope-interface", false),
            ("uvicorn[standard]==0.30", "uvicorn", true),
            ("x==1 --hash=sha256:00", "x", true),
            ("private @ git+https://git.test/x.git@v1", "private", true),
        ] {
            assert_eq!(packages(line), Some((name.to_owned(), pinned)), "{line}");
        }
        let Entry::Package(name, extras, _) = entry("fastapi[standard, all]") else { panic!("a package") };
        assert_eq!(implied(&name, &extras), ["uvicorn"]);
        let Entry::Package(name, extras, _) = entry("psycopg[binary,pool]>=3.2") else { panic!("a package") };
        assert_eq!(implied(&name, &extras), ["psycopg-binary"]);
    }

    #[test]
    fn options_paths_and_indexes_are_told_apart() {
        for line in
            ["-r base.txt", "-rbase.txt", "--requirement base.txt", "--requirement=base.txt", "-c base.txt"]
        {
            assert!(matches!(entry(line), Entry::File("base.txt")), "{line}");
        }
        for line in ["-e ../x", "--editable=../x", "../x", "x @ file:../x", "file://../x"] {
            assert!(matches!(entry(line), Entry::Path("../x")), "{line}");
        }
        for line in ["-i https://i.test", "--extra-index-url https://i.test", "--find-links=https://i.test"] {
            assert!(matches!(entry(line), Entry::Index("https://i.test")), "{line}");
        }
        for line in ["--pre", "-e git+https://git.test/x.git", "https://files.test/x.whl", "--require-hashes"]
        {
            assert!(matches!(entry(line), Entry::Other), "{line}");
        }
        for line in ["--pre", "--no-binary :all:", "--only-binary=lxml", "--require-hashes"] {
            assert!(matches!(entry(line), Entry::Other), "{line}");
        }
        for line in [
            "--pre --extra-index-url https://i.test",
            "--extra-index https://i.test",
            "--no-binary=x -r ../x",
            "-r base.txt -i https://i.test",
            "--trusted-host i.test",
        ] {
            assert!(matches!(entry(line), Entry::Option(_)), "{line}");
        }
    }

    #[test]
    fn paths_stay_in_the_repository() {
        for (path, wanted) in [(".", ""), ("./libs/x", "libs/x"), ("a/../b", "b"), ("a//b", "a/b")] {
            assert_eq!(inside("requirements.txt", path).unwrap(), wanted);
        }
        for path in ["..", "../x", "a/../../x", "/etc/x", "~/x", "${HOME}/x"] {
            let error = inside("requirements.txt", path).unwrap_err();
            assert_eq!(error.code(), Code::SourceUnsafe, "{path}");
        }
        assert_eq!(beside("requirements/prod.txt", "base.txt"), "requirements/base.txt");
        assert_eq!(beside("requirements.txt", "requirements/base.txt"), "requirements/base.txt");
    }

    #[test]
    fn comments_and_continued_lines() {
        let text = "# a list\r\nflask==3 # web\nx==1 \\\n    --hash=sha256:0\nhttps://x.test/y#egg=z\n\n";
        assert_eq!(lines(text), ["flask==3", "x==1     --hash=sha256:0", "https://x.test/y#egg=z"]);
    }

    #[test]
    fn locks_name_their_packages_and_python() {
        assert!(of_lock("[[package]]\nname = \"Uvicorn\"\nversion = \"1\"\n").contains("uvicorn"));
        assert!(
            of_pipfile_lock(r#"{"default": {"gunicorn": {}}, "develop": {"pytest": {}}}"#)
                .contains("gunicorn")
        );
        assert!(of_pipfile_lock("{").is_empty());
        assert_eq!(requires_python("[project]\nrequires-python = \">=3.10\"\n").as_deref(), Some(">=3.10"));
        assert_eq!(
            requires_python("[tool.poetry.dependencies]\npython = \"^3.10\"\n").as_deref(),
            Some("^3.10")
        );
        assert_eq!(requires_python("not toml ="), None);
    }
}
