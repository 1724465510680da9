//! Variables that the repository's example of a `.env` names and the service does not get: a first deployment often ends for
//! want of one. Reads names only; an example's values are not used. Pure.

use std::collections::BTreeSet;

use crate::facts::Source;
use crate::observe::secrets::{Variables, no_name};
use crate::plan::Unset;

/// The usual names of such a file. The first one that exists counts.
pub const FILES: [&str; 7] =
    [".env.example", ".env.sample", ".env.template", ".env.dist", "env.example", "example.env", "sample.env"];

/// More names than this belong to no example.
const MOST: usize = 100;
const LONGEST: usize = 64;

/// The file's names that `variables` lacks, in the file's order.
pub fn of(source: &Source, variables: &Variables) -> Option<Unset> {
    let (file, text) = FILES.iter().find_map(|file| Some((*file, source.text(file)?)))?;
    let names: Vec<String> = names(text).into_iter().filter(|name| !is_set(variables, name)).collect();
    (!names.is_empty()).then(|| Unset { file: file.to_owned(), names })
}

/// NODE_ENV has a default that is not among a recipe's variables yet where only a working tree is judged.
fn is_set(variables: &Variables, name: &str) -> bool {
    variables.get(name).is_some() || name == "NODE_ENV"
}

/// The names of a text in the syntax of `.env`, each one once. A line in a comment is an optional variable.
fn names(text: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    let name = |line: &str| {
        let line = line.trim_start();
        let name = line.strip_prefix("export ").unwrap_or(line).split_once('=')?.0.trim();
        is_name(name).then(|| name.to_owned())
    };
    text.lines().filter_map(name).filter(|name| found.insert(name.clone())).take(MOST).collect()
}

/// Foreign text: a name gets into notes and remedies, and a token in the place of a name must not.
fn is_name(name: &str) -> bool {
    name.len() <= LONGEST && no_name(name).is_none()
}

/// For a service that was not healthy on this instance yet.
pub fn note(unset: &Unset) -> String {
    format!(
        "{} names {}, which the service does not get: what it needs of them belongs in its secret or, if public, in env.values",
        unset.file,
        unset.shown()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::testing::source;
    use crate::secret::Secret;

    fn unset(text: &str, set: &[&str]) -> Vec<String> {
        let mut variables = Variables::default();
        for name in set {
            variables.insert(*name, Secret::new("x"));
        }
        of(&source(&[(".env.example", text)]), &variables).map(|unset| unset.names).unwrap_or_default()
    }

    #[test]
    fn names_that_are_not_set_are_found_in_the_order_of_the_file() {
        assert_eq!(unset("PORT=3000\nTOKEN=\n# OPTIONAL=1\nexport A_B = 'x'\n", &["PORT"]), ["TOKEN", "A_B"]);
        assert_eq!(unset("A=1\nB=2\nA=3\n", &[]), ["A", "B"]);
    }

    #[test]
    fn a_complete_secret_and_odd_lines_have_none() {
        assert!(unset("PORT=3000\n", &["PORT"]).is_empty());
        assert!(
            unset("# only a comment\n\nnot a variable\n=x\n1A=2\nrm -rf $(x)=1\nA\u{202e}B=1\n", &[])
                .is_empty()
        );
        assert!(unset(&format!("{}=1", "A".repeat(65)), &[]).is_empty());
        assert!(of(&source(&[("README.md", "TOKEN=1")]), &Variables::default()).is_none());
    }

    #[test]
    fn a_token_in_the_place_of_a_name_is_not_shown() {
        assert!(unset("NODE_ENV=development\nghp_16C7e42F292c6912E7710c838347Ae178B4a=1\n", &[]).is_empty());
    }

    #[test]
    fn the_first_example_counts_and_the_number_of_names_is_bounded() {
        let two = source(&[(".env.sample", "B=1"), (".env.example", "A=1")]);
        assert_eq!(of(&two, &Variables::default()).unwrap().file, ".env.example");
        let many: String = (0..500).map(|n| format!("V{n}=1\n")).collect();
        assert_eq!(unset(&many, &[]).len(), MOST);
    }

    #[test]
    fn a_note_shows_some_names_and_counts_the_others() {
        let names = ["A", "B", "C", "D", "E", "F", "G", "H", "I"].map(str::to_owned).to_vec();
        let note = note(&Unset { file: ".env.example".to_owned(), names });
        assert!(note.starts_with(".env.example names A, B, C, D, E, F, G, H and 1 more, which"), "{note}");
    }
}
