//! The readers themselves judge what the writers write: node's `util.parseEnv`, the dotenv package in
//! three major versions, and systemd's own parser. Nothing is imitated here.

#![allow(clippy::expect_used, clippy::panic)]

#[path = "env_readers/readers.rs"]
mod readers;
#[path = "env_readers/values.rs"]
mod values;

use std::collections::{BTreeMap, BTreeSet};

use bootagent::observe::secrets::Variables;
use bootagent::plan::Rendering;
use bootagent::plan::environment::DOTENV;
use bootagent::planner::env::{dotenv, render, systemd};
use bootagent::secret::Secret;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};

const HEADER: &str = "Written by bootagent for auth-service from service_env_auth-service_test; do not edit";

/// Generated files per reader; `PROPTEST_CASES` asks for more.
fn many<T>(strategy: impl Strategy<Value = T>) -> Vec<T> {
    let cases = Config::default().cases * 8;
    let mut runner = TestRunner::deterministic();
    (0..cases).map(|_| strategy.new_tree(&mut runner).expect("it generates").current()).collect()
}

fn set<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Variables {
    let mut variables = Variables::default();
    for (name, value) in pairs {
        variables.insert(name, Secret::new(value));
    }
    variables
}

fn borrowed(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Every corpus value alone between two neighbours that it could swallow, all of them in one file, and
/// what the generator makes.
fn sets() -> Vec<Variables> {
    let corpus = values::corpus();
    let alone = corpus.iter().map(|(name, value, _)| set([("AAA", "1"), (*name, value), ("ZZZ", "2")]));
    let together = set(corpus.iter().map(|(name, value, _)| (*name, value.as_str())));
    let generated = many(values::variables()).into_iter().map(|pairs| set(borrowed(&pairs)));
    alone.chain([together]).chain(generated).collect()
}

fn rendered(sets: &[Variables]) -> Vec<(Rendering, Vec<String>)> {
    sets.iter().map(|set| render(set, Some(&dotenv::NODE), HEADER).expect("it renders")).collect()
}

fn expected(variables: &Variables, left_out: &[String]) -> BTreeMap<String, String> {
    let kept = variables.iter().filter(|(name, _)| !left_out.iter().any(|left| left == name));
    kept.map(|(name, value)| (name.to_owned(), value.expose().to_owned())).collect()
}

fn seen(pairs: &readers::Pairs) -> BTreeMap<String, String> {
    pairs.iter().cloned().collect()
}

#[test]
fn systemd_reads_every_value_as_it_is() {
    let sets = sets();
    let texts: Vec<String> =
        rendered(&sets).iter().map(|(file, _)| file.service().expose().to_owned()).collect();
    for ((set, text), read) in sets.iter().zip(&texts).zip(readers::systemd(&texts)) {
        let read = read.unwrap_or_else(|| panic!("systemd refuses {text:?}"));
        assert_eq!(seen(&read), expected(set, &[]), "in {text:?}");
    }
}

#[test]
fn node_reads_every_value_as_it_is_or_finds_it_left_out() {
    let sets = sets();
    let rendered = rendered(&sets);
    let texts: Vec<String> = rendered
        .iter()
        .map(|(file, _)| file.text(&DOTENV).expect("it was asked for").expose().to_owned())
        .collect();
    for (reader, answers) in readers::node(&texts) {
        for (((set, (_, left_out)), text), read) in sets.iter().zip(&rendered).zip(&texts).zip(&answers) {
            assert_eq!(seen(read), expected(set, left_out), "{reader} in {text:?}");
        }
    }
}

#[test]
fn only_what_no_quoting_carries_is_left_out() {
    for (name, value, carried) in values::corpus() {
        let (_, left_out) =
            render(&set([(name, value.as_str())]), Some(&dotenv::NODE), HEADER).expect("it renders");
        assert_eq!(left_out.is_empty(), carried, "{name}");
    }
}

#[test]
fn systemd_does_refuse_the_files_of_the_values_that_we_refuse() {
    let refused = ["\0", "\u{fdd0}", "\u{fdef}", "\u{fffe}", "\u{ffff}", "\u{1fffe}", "\u{10ffff}"];
    let files: Vec<String> = refused.iter().map(|value| format!("A=\"x{value}\"\n")).collect();
    for (value, read) in refused.iter().zip(readers::systemd(&files)) {
        assert_eq!(read, None, "systemd carries {value:?}");
        let error = render(&set([("A", *value)]), None, HEADER).expect_err("it was rendered");
        assert_eq!(error.code().name(), "E-ENVIRONMENT-UNCARRIED");
    }
}

#[test]
fn the_model_of_systemd_reads_what_systemd_reads() {
    let texts = many(values::garbage());
    let mut agreed = 0;
    for (text, real) in texts.iter().zip(readers::systemd(&texts)) {
        // The model knows no duplicates, and systemd drops names that are none.
        let Some(model) = systemd::read(text) else { continue };
        let named = |name: &str| bootagent::observe::secrets::is_name(name);
        let model: BTreeMap<_, _> =
            expected(&model, &[]).into_iter().filter(|(name, _)| named(name)).collect();
        let real = real.unwrap_or_else(|| panic!("systemd refuses {text:?}"));
        assert_eq!(model, seen(&real), "in {text:?}");
        agreed += usize::from(!model.is_empty());
    }
    assert!(agreed > texts.len() / 4, "only {agreed} of {} texts said anything", texts.len());
}

#[test]
fn what_the_model_of_node_reads_every_reader_reads() {
    let garbage = many(values::garbage());
    let texts: Vec<String> = garbage.iter().filter(|text| dotenv::read(text).is_some()).cloned().collect();
    assert!(texts.len() > garbage.len() / 50, "only {} of {} texts are read", texts.len(), garbage.len());
    for (reader, answers) in readers::node(&texts) {
        for (text, read) in texts.iter().zip(&answers) {
            let model = dotenv::read(text).expect("it was read before");
            assert_eq!(seen(read), expected(&model, &[]), "{reader} in {text:?}");
        }
    }
}

#[test]
fn a_naive_writer_would_be_caught() {
    let corpus = values::corpus();
    let texts: Vec<String> = corpus.iter().map(|(name, value, _)| format!("{name}={value}\n")).collect();
    let wrong = |answers: &[readers::Pairs]| -> BTreeSet<&str> {
        let pairs = corpus.iter().zip(answers);
        let wrong = pairs.filter(|((name, value, _), read)| **read != [((*name).to_owned(), value.clone())]);
        wrong.map(|((name, ..), _)| *name).collect()
    };
    for (reader, answers) in readers::node(&texts) {
        let wrong = wrong(&answers);
        assert!(wrong.contains("HASH") && wrong.contains("INJECTION"), "{reader} was not caught: {wrong:?}");
    }
}
