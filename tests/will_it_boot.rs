//! The tables of docs/will-it-boot.md are those of the code: one row for each package manager, framework and front end.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A source file without its comments.
fn source(path: &str) -> String {
    let text = read(&format!("src/planner/runtime/node/{path}"));
    let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    code.collect::<Vec<_>>().join("\n")
}

/// The blocks of a source file that begin with a word: `Framework {` up to `}`.
fn blocks<'a>(source: &'a str, begin: &str) -> Vec<&'a str> {
    source.split(begin).skip(1).map(|rest| rest.split_once("}").unwrap().0).collect()
}

/// The value of a field, up to the next field. The name of a constant stands for its value.
fn field<'a>(source: &'a str, block: &'a str, name: &str) -> &'a str {
    let (_, value) =
        block.split_once(&format!("{name}: ")).unwrap_or_else(|| panic!("{name} is not in {block}"));
    let end = value.find(": ").map_or(value.len(), |colon| value[..colon].rfind(',').unwrap());
    let value = value[..end].trim().trim_end_matches(',');
    match value.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
        true => {
            let (_, rest) = source.split_once(&format!("const {value}: ")).unwrap();
            rest.split_once("= ").unwrap().1.split_once(';').unwrap().0
        }
        false => value,
    }
}

/// The string literals of a value.
fn texts(value: &str) -> Vec<&str> {
    value.split('"').skip(1).step_by(2).collect()
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn listed(texts: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = texts.collect();
    if all.is_empty() { "–".to_owned() } else { all.join(", ") }
}

/// The rows that the page must have, in this order.
fn rows() -> Vec<String> {
    let managers = source("manager/rows.rs");
    let managers = blocks(&managers, ": Manager = Manager {").into_iter().map(|block| {
        let words = |name: &str| texts(field(&managers, block, name)).join(" ");
        let (name, package) = (words("name"), words("package"));
        let named = match package.as_str() {
            "yarn" => "yarn 1",
            "@yarnpkg/cli-dist" => "yarn 2 and newer",
            _ => &name,
        };
        let command = |field: &str| match words(field).as_str() {
            "" => "–".to_owned(),
            words => code(&format!("{name} {words}")),
        };
        let lockfiles = listed(texts(field(&managers, block, "lockfiles")).into_iter().map(code));
        let commands = ["everything", "production", "prune", "unlocked"].map(command);
        format!("| {named} | {lockfiles} | {} |", commands.join(" | "))
    });
    let managers: Vec<String> = managers.collect();
    let frameworks = source("start/framework.rs");
    let (_, table) = frameworks.split_once("FRAMEWORKS: &[Framework] = &[").unwrap();
    let frameworks = blocks(table.split_once("\n];").unwrap().0, "Framework {").into_iter().map(|block| {
        let field = |name: &str| texts(field(&frameworks, block, name));
        let variables = field("variables");
        let variables = listed(variables.chunks(2).map(|pair| code(&pair.join("="))));
        format!(
            "| {} | {} | {} | {variables} | {} |",
            field("name").join(""),
            listed(field("packages").into_iter().map(code)),
            code(&field("start").join("")),
            listed(field("writes").into_iter().map(code)),
        )
    });
    managers.into_iter().chain(frameworks).chain(front_ends()).collect()
}

fn front_ends() -> Vec<String> {
    let text = source("start/frontend/rows.rs").replace("..USUALLY", "");
    let (_, table) = text.split_once("FRONTENDS: &[Frontend] = &[").unwrap();
    let row = |block: &str| {
        let field = |name: &str| match block.contains(&format!("{name}: ")) {
            true => texts(field(&text, block, name)),
            false => Vec::new(),
        };
        let codes = |texts: Vec<&str>| listed(texts.into_iter().map(code));
        let roots = if field("roots").is_empty() { vec!["dist"] } else { field("roots") };
        let packages = codes(field("packages"));
        format!(
            "| {} | {packages} | {} | {} |",
            field("name").join(""),
            codes(roots),
            codes(field("fallback"))
        )
    };
    blocks(table.split_once("\n];").unwrap().0, "Frontend {").into_iter().map(row).collect()
}

#[test]
fn each_package_manager_and_framework_has_its_row() {
    let (page, rows) = (read("docs/will-it-boot.md"), rows());
    assert!(rows.len() > 15, "hardly any row was found: is the reader of the source broken?\n{rows:?}");
    let missing: Vec<&String> =
        rows.iter().filter(|row| !page.lines().any(|line| line == row.as_str())).collect();
    assert!(
        missing.is_empty(),
        "not in docs/will-it-boot.md:\n{}",
        missing.iter().map(|row| format!("{row}\n")).collect::<String>()
    );
}

#[test]
fn no_row_is_of_a_framework_that_is_not_known() {
    let (page, rows) = (read("docs/will-it-boot.md"), rows());
    for begin in ["| Package manager |", "| Framework |", "| Front end |"] {
        let (_, table) = page.split_once(begin).unwrap_or_else(|| panic!("no table {begin}"));
        let table = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let unknown: Vec<&str> = table.filter(|line| !rows.iter().any(|row| row == line)).collect();
        assert!(unknown.is_empty(), "not in the code:\n{}", unknown.join("\n"));
    }
}

/// The codes of warnings in the lint's source: of a call, and of the table for a recipe's notes.
fn warnings() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/planner/lint");
    let mut found = Vec::new();
    for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let called = text.split("warning(").skip(1).filter(|rest| rest.trim_start().starts_with('"'));
        found.extend(called.map(|rest| texts(rest)[0].to_owned()));
        let table =
            text.split_once("CODES: &[(&str, &str)] = &[").map(|(_, rest)| rest.split_once("];").unwrap().0);
        found.extend(
            table
                .into_iter()
                .flat_map(|table| texts(table).into_iter().skip(1).step_by(2).map(str::to_owned)),
        );
    }
    found.push("convention".to_owned());
    found.sort();
    found.dedup();
    found
}

#[test]
fn each_warning_is_explained_and_no_other() {
    let page = read("docs/reference/validate.md");
    let (_, table) = page.split_once("| Code | Meaning |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap());
    let mut explained: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    explained.sort_unstable();
    assert_eq!(explained, warnings());
}

fn all_of(directory: &Path, text: &mut String) {
    for path in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => all_of(&path, text),
            false => *text += &std::fs::read_to_string(&path).unwrap(),
        }
    }
}

/// The lint knows a runtime's notes by their words: a note in other words would get no code.
#[test]
fn the_notes_that_the_lint_knows_are_those_of_the_runtimes() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/planner");
    let lint = std::fs::read_to_string(home.join("lint/warnings.rs")).unwrap();
    let table = |begin: &str| lint.split_once(begin).unwrap().1.split_once("];").unwrap().0;
    let coded = texts(table("CODES: &[(&str, &str)] = &[")).into_iter().step_by(2);
    let known: Vec<&str> = coded.chain(texts(table("NEED_NO_CHANGE: &[&str] ="))).collect();
    assert!(known.len() > 8, "{known:?}");
    let mut runtimes = String::new();
    all_of(&home.join("runtime"), &mut runtimes);
    let unknown: Vec<&&str> = known.iter().filter(|words| !runtimes.contains(**words)).collect();
    assert!(unknown.is_empty(), "no runtime has a note with {unknown:?}");
}
