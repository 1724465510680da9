//! Which Python: the most explicit wish counts, and the newest installed one that grants it is taken. What it lacks to
//! make a virtual environment comes as a package of the distribution, if the policy lets it.

use std::path::PathBuf;

use super::found::Found;
use super::uv::{self, Uv};
use super::version::{Range, Version};
use super::{distribution, requirements, version_files};
use crate::error::{Code, Error, Result};
use crate::facts::{Installed, Places};
use crate::planner::runtime::container::DOCKERFILE;
use crate::planner::runtime::recipe::{ANY_VERSION, Need, RecipeInputs};
use crate::secret::excerpt;

pub const PLACES: Places = Places {
    program: "python",
    names: &[
        "python3",
        "python3.8",
        "python3.9",
        "python3.10",
        "python3.11",
        "python3.12",
        "python3.13",
        "python3.14",
    ],
    directories: &["/usr/local/bin", "/usr/bin"],
    versions: &[("/opt", "python"), ("/usr/local/lib/python", "")],
    asked: "--version",
    prints: "Python ",
    beside: &[
        // Distributions keep it in a package of its own.
        ("ensurepip", &["../lib/python{line}/ensurepip", "../lib64/python{line}/ensurepip"]),
        // pip as a program that works on another environment: from its version 22.3 on.
        (
            "pip",
            &[
                "../lib/python3/dist-packages/pip/__pip-runner__.py",
                "../lib/python{line}/site-packages/pip/__pip-runner__.py",
            ],
        ),
    ],
};

/// The Python of a service, and what there must be first.
#[derive(Debug)]
pub struct Chosen {
    pub version: String,
    pub program: PathBuf,
    pub by: String,
    pub uv: Option<Uv>,
    pub needs: Vec<Need>,
    /// Where its programs stand.
    pub path: Vec<String>,
}

impl Chosen {
    pub fn line(&self) -> String {
        Version::parse(&self.version).map_or_else(|| self.version.clone(), |version| version.line())
    }
}

struct Wish {
    range: String,
    by: &'static str,
}

impl Wish {
    fn doing(&self) -> String {
        format!("looking for Python {} ({})", excerpt(&self.range), self.by)
    }

    fn read(&self) -> Result<Range> {
        Range::parse(&self.range).ok_or_else(|| {
            Error::new(Code::ManifestInvalid, self.doing(), "it is not a version or a range of versions")
                .remedy("write a version like 3.12, or a range like >=3.10")
        })
    }
}

const REQUIRES: &str = "requires-python in pyproject.toml";

/// From the most explicit to the least.
fn wishes(inputs: &RecipeInputs) -> Vec<Wish> {
    let pyproject = inputs.source.text("pyproject.toml").unwrap_or_default();
    let manifest = inputs.manifest.said("python", "version").map(str::to_owned);
    let required = requirements::requires_python(pyproject);
    let wishes = (manifest.map(|range| (range, "python.version in bootagent.toml")).into_iter())
        .chain(version_files::wishes(inputs.source))
        .chain(requirements::of_pipfile(inputs.source))
        .chain(required.map(|range| (range, REQUIRES)));
    let mut all: Vec<Wish> = wishes.map(|(range, by)| Wish { range, by }).collect();
    if all.is_empty() {
        all.push(Wish { range: "*".to_owned(), by: "no version is asked for" });
    }
    all
}

pub fn choose(inputs: &RecipeInputs, found: Option<&Found>, notes: &mut Vec<String>) -> Result<Chosen> {
    let wishes = wishes(inputs);
    let first = &wishes[0];
    let range = first.read()?;
    let is_bare = found.is_some_and(|found| found.needs_no_packages());
    let uv = uv::find(inputs).filter(|_| !is_bare);
    let without_pip = uv.is_some() || is_bare;
    let (version, program, missing) = match installed(inputs, &range, without_pip) {
        Some(installed) => {
            (installed.version.clone(), installed.program.clone(), lacks(inputs, installed, without_pip))
        }
        None => match range.of_its_line().and_then(|line| installed(inputs, &line, without_pip)) {
            Some(installed) => {
                notes.push(format!(
                    "Python {} is taken for {} ({}): another patch of the same version",
                    installed.version,
                    excerpt(&first.range),
                    first.by
                ));
                (installed.version.clone(), installed.program.clone(), lacks(inputs, installed, without_pip))
            }
            None => of_the_distribution(inputs, first, &range, without_pip)?,
        },
    };
    let needs_uv = found.is_some_and(|found| found.needs_uv());
    let uv = uv.or_else(|| uv::by_pip(inputs, &program).filter(|_| needs_uv));
    if needs_uv && uv.is_none() {
        let cause = "uv.lock is uv's own, the machine has no uv, and the policy forbids its archives";
        return Err(Error::new(Code::RuntimeMissing, "looking for uv", cause).remedy(format!(
            "put uv into the image, or pin its archive in the policy: [archives.uv] checksums = {{ \"{}\" = \"SHA-256\" }}",
            uv::EXAMPLE
        )));
    }
    if !missing.is_empty() {
        refuse_packages(inputs, first, &missing)?;
    }
    for other in wishes[1..].iter() {
        let granted =
            other.read().is_ok_and(|range| Version::parse(&version).is_some_and(|it| range.allows(&it)));
        if !granted && needs_uv && other.by == REQUIRES && version != ANY_VERSION {
            return Err(contradiction(first, other));
        }
        if !granted && version != ANY_VERSION {
            notes.push(format!(
                "Python {version} is taken for {} ({}), although {} asks for {}",
                excerpt(&first.range),
                first.by,
                other.by,
                excerpt(&other.range)
            ));
        }
    }
    let packages = (!missing.is_empty()).then_some(Need::Packages(missing));
    let path =
        uv.iter().filter(|_| found.is_some()).filter_map(|uv| uv.program.parent()).chain(program.parent());
    Ok(Chosen {
        by: format!("{}: {}", first.by, excerpt(&first.range)),
        path: path.map(|path| path.display().to_string()).collect(),
        needs: packages.into_iter().chain(uv.iter().filter_map(|uv| uv.need.clone())).collect(),
        version,
        program,
        uv,
    })
}

/// uv installs a project for no other Python than it requires.
fn contradiction(first: &Wish, required: &Wish) -> Error {
    let cause = format!("{} is {}, which does not include it", required.by, excerpt(&required.range));
    Error::new(Code::ManifestInvalid, first.doing(), cause)
        .remedy(format!("make {} and {} agree", first.by, required.by))
}

/// The newest that fits; of those that fit, one that lacks nothing goes first.
fn installed<'a>(inputs: &'a RecipeInputs, range: &Range, without_pip: bool) -> Option<&'a Installed> {
    let all = inputs.facts.programs.get("python").into_iter().flatten();
    let fits = |one: &&Installed| {
        one.version == ANY_VERSION
            || Version::parse(&one.version).is_some_and(|version| range.allows(&version))
    };
    let whole = |one: &Installed| lacks(inputs, one, without_pip).is_empty();
    all.filter(fits).max_by_key(|one| (whole(one), Version::parse(&one.version)))
}

/// The packages without which it can make no virtual environment.
fn lacks(inputs: &RecipeInputs, python: &Installed, without_pip: bool) -> Vec<String> {
    if without_pip || python.has("ensurepip") || python.has("pip") {
        return Vec::new();
    }
    let line = Version::parse(&python.version).map(|version| version.line()).unwrap_or_default();
    vec![distribution::venv_package(&inputs.facts.machine, &line)]
}

/// Where no installed one fits: the distribution's own, if that does.
fn of_the_distribution(
    inputs: &RecipeInputs,
    wish: &Wish,
    range: &Range,
    without_pip: bool,
) -> Result<(String, PathBuf, Vec<String>)> {
    let machine = &inputs.facts.machine;
    let fits = |line: &&str| {
        let fits = |range: &Range| Version::parse(line).is_some_and(|version| range.allows(&version));
        fits(range) || range.of_its_line().is_some_and(|line| fits(&line))
    };
    let is_absent =
        |line: &&str| {
            !inputs.facts.programs.get("python").into_iter().flatten().any(|one| {
                Version::parse(&one.version).is_some_and(|version| version.line().as_str() == *line)
            })
        };
    match distribution::lines(machine).filter(fits).find(is_absent) {
        Some(line) => {
            let mut packages = vec![distribution::package(machine, line)];
            packages.extend((!without_pip).then(|| distribution::venv_package(machine, line)));
            Ok((line.to_owned(), format!("/usr/bin/python{line}").into(), packages))
        }
        None => {
            let docker = match inputs.source.has(DOCKERFILE) {
                true => {
                    format!("; or run the image of its {DOCKERFILE}: runtime = \"docker\" in bootagent.toml")
                }
                false => String::new(),
            };
            Err(Error::new(Code::RuntimeMissing, wish.doing(), found(inputs)).remedy(format!(
                "put this version of Python into the image, or ask for one that is there{docker}"
            )))
        }
    }
}

fn found(inputs: &RecipeInputs) -> String {
    let all = inputs.facts.programs.get("python").into_iter().flatten();
    let versions: Vec<&str> = all.map(|one| one.version.as_str()).collect();
    match versions.is_empty() {
        true => "the machine has no Python".to_owned(),
        false => format!("the machine has {} only", versions.join(" and ")),
    }
}

fn refuse_packages(inputs: &RecipeInputs, wish: &Wish, missing: &[String]) -> Result<()> {
    let names = missing.join(" and ");
    if inputs.facts.machine.package_manager().is_none() {
        let cause = format!("the machine's Python makes no virtual environment without {names}");
        return Err(Error::new(Code::RuntimeMissing, wish.doing(), cause)
            .remedy(format!("put {names} into the image")));
    }
    if !inputs.packages.allowed {
        let cause = format!("a virtual environment needs {names}, and the policy forbids packages");
        return Err(Error::new(Code::PolicyRefused, wish.doing(), cause)
            .remedy(format!("put {names} into the image, or set packages.allow in the policy")));
    }
    Ok(())
}
