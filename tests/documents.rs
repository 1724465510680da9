//! The examples of the README and of `docs` are true: a TOML block is a manifest or a policy, a command is one that bootagent has,
//! a link leads to a file and a heading, and a code is one that an error can have.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use bootagent::cli::Cli;
use bootagent::error::Code;
use bootagent::observe::Fragment;
use bootagent::observe::manifest::{self, Manifest};
use bootagent::planner::runtime;
use clap::Parser;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Path and text of each document.
fn documents() -> Vec<(PathBuf, String)> {
    let mut found = vec![root().join("tests/lab/README.md")];
    let mut directories = vec![root().to_owned(), root().join("docs")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if directory.starts_with(root().join("docs")) => directories.push(path),
                false if path.extension().is_some_and(|extension| extension == "md") => found.push(path),
                _ => {}
            }
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The blocks of a language, each with its first line's number and without the indentation of its fence.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(said) = line.trim_start().strip_prefix("```") else { continue };
        let indent = line.len() - line.trim_start().len();
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line.get(indent..).unwrap_or(""))
            .take_while(|line| !line.starts_with("```"))
            .collect();
        if said.split_whitespace().next() == Some(language) {
            blocks.push((number + 2, body.join("\n") + "\n"));
        }
    }
    blocks
}

/// What is wrong with a block that should be a manifest, or a policy.
fn refused(text: &str) -> Option<String> {
    let overlays = manifest::environments(text);
    let overlays = overlays.iter().map(Some).chain([None]);
    let as_manifest: Result<Vec<_>, _> = overlays
        .map(|environment| Manifest::parse("bootagent.toml", text, environment, &runtime::tables()))
        .collect();
    let as_policy = toml::from_str::<Fragment>(text);
    let (Err(as_manifest), Err(as_policy)) = (as_manifest, as_policy) else { return None };
    Some(format!("as a manifest: {as_manifest:?}\nas a policy: {as_policy}"))
}

#[test]
fn the_policy_of_the_packages_is_one_also_without_its_comment_signs() {
    let text = std::fs::read_to_string(root().join("packaging/policy.toml")).unwrap();
    assert_eq!(refused(&text), None);
    let is_toml = |line: &&str| line.starts_with("# [") || line.contains(" = ");
    let every: Vec<&str> = text.lines().filter(is_toml).map(|line| line.trim_start_matches("# ")).collect();
    let policy = toml::from_str::<Fragment>(&every.join("\n")).unwrap();
    assert!(policy.services.is_some() && policy.imds.users.is_some() && policy.git_credential.is_some());
}

#[test]
fn toml_blocks_are_manifests_or_policies() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        for (line, block) in blocks(&text, "toml") {
            seen += 1;
            wrong.extend(refused(&block).map(|why| format!("{}:{line}: {why}", path.display())));
        }
    }
    assert!(seen > 30, "{seen} blocks");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The words of a shell's simple command, up to a comment or an operator.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '#') if word.is_none() => break,
            (None, ';' | '|' | '>' | '<' | '&' | ')') => break,
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words.into_iter().map(|word| word.replace("COMMIT", "0123456789ab")).collect()
}

/// The command of bootagent that a line begins with.
fn command(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches("exec ").trim_start_matches("sudo ");
    line.starts_with("bootagent ").then_some(line)
}

#[test]
fn commands_are_those_of_bootagent() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        for (line, block) in blocks(&text, "sh") {
            for said in block.replace("\\\n", "").lines().filter_map(command) {
                seen += 1;
                let mut words = words(said);
                if words[1].starts_with("--") {
                    words.insert(1, "run".to_owned());
                }
                let parsed = Cli::try_parse_from(words).map(drop);
                wrong.extend(parsed.err().map(|why| format!("{}:{line}: {said}: {why}", path.display())));
            }
        }
    }
    assert!(seen > 30, "{seen} commands");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What the templates of images run on the builder.
#[test]
fn the_templates_of_images_call_commands_that_exist() {
    for name in ["image.pkr.hcl", "component.yaml"] {
        let text = std::fs::read_to_string(root().join("packaging/aws").join(name)).unwrap();
        let filled = ["${var.service}", "${var.environment}", "{{ Service }}", "{{ Environment }}"];
        let text = filled.iter().fold(text, |text, placeholder| text.replace(placeholder, "auth"));
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let commands = lines.filter_map(|line| {
            let at = ["bake", "seal", "releases"].map(|verb| line.find(&format!("bootagent {verb}")));
            let rest = &line[at.into_iter().flatten().next()?..];
            Some(rest.split(['"', '|']).next().unwrap_or(rest).trim().to_owned())
        });
        let commands: Vec<String> = commands.collect();
        assert!(commands.len() >= 2, "{commands:?}");
        for command in commands {
            Cli::try_parse_from(words(&command)).unwrap_or_else(|why| panic!("{name}: {command}: {why}"));
        }
    }
}

/// The anchor that a forge makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> HashSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

/// The targets of a text's links, without those to other hosts.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.contains("://") && !target.contains(' ')).collect()
}

#[test]
fn links_lead_to_a_file_and_a_heading() {
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        for link in links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let leads = target.exists()
                && (heading.is_empty()
                    || anchors(&std::fs::read_to_string(&target).unwrap()).contains(heading));
            if !leads {
                wrong.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The codes in a text: `E-GIT-AUTH`, and `E-GIT-...` for all that begin so.
fn codes(text: &str) -> Vec<(&str, bool)> {
    let begins = text.match_indices("`E-").map(|(at, _)| &text[at + 1..]);
    let codes = begins.filter_map(|rest| rest.split_once('`')).map(|(code, _)| code);
    let codes = codes
        .filter(|code| code.chars().all(|c| c.is_ascii_uppercase() || matches!(c, '-' | '.' | '0'..='9')));
    codes.map(|code| code.strip_suffix("...").map_or((code, false), |family| (family, true))).collect()
}

#[test]
fn codes_are_those_of_the_program() {
    let known = |code: &str, is_family: bool| {
        Code::ALL.iter().any(|known| known.name() == code || is_family && known.name().starts_with(code))
    };
    let documents = documents();
    let current = documents.iter().filter(|(path, _)| !path.ends_with("CHANGELOG.md"));
    let wrong: Vec<String> = current
        .flat_map(|(path, text)| codes(text).into_iter().map(move |code| (path, code)))
        .filter(|(_, (code, is_family))| !known(code, *is_family))
        .map(|(path, (code, _))| format!("{}: {code}", path.display()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
