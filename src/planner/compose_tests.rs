//! Composed values: what they come to, which are secret, and which are refused.

use proptest::prelude::*;

use super::*;

fn variables(all: &[(&str, &str)]) -> Variables {
    let mut variables = Variables::default();
    for (name, value) in all {
        variables.insert(*name, Secret::new(*value));
    }
    variables
}

fn templates(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn composed(of: &[(&str, &str)], known: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
    let composed = compose(&templates(of), &variables(known))?;
    Ok(composed.iter().map(|(name, value)| (name.to_owned(), value.expose().to_owned())).collect())
}

fn row(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn a_url_is_composed_with_encoded_parts() {
    let known = [("USER", "a@b"), ("PASSWORD", "p/w%:\n{x}"), ("HOST", "db:5432")];
    let of = [("URL", "postgres://{USER:url}:{PASSWORD:url}@{HOST}/app?o={{}}")];
    let expected = row("URL", "postgres://a%40b:p%2Fw%25%3A%0A%7Bx%7D@db:5432/app?o={}");
    assert_eq!(composed(&of, &known).unwrap(), [expected]);
}

#[test]
fn composed_values_may_be_parts_of_others_in_any_order() {
    let of = [("A", "<{B}>"), ("B", "[{C}{C}]"), ("C", "{X}")];
    assert_eq!(composed(&of, &[("X", "x")]).unwrap(), [row("A", "<[xx]>"), row("B", "[xx]"), row("C", "x")]);
    // A composed value counts for more than a variable of its name.
    let of = [("A", "{B}"), ("B", "new{X}")];
    assert_eq!(composed(&of, &[("B", "old"), ("X", "x")]).unwrap()[0], row("A", "newx"));
}

#[test]
fn a_missing_name_is_named() {
    let error = composed(&[("URL", "x://{DB_USER}")], &[("DB_PASSWORD", "hunter2")]).unwrap_err();
    assert_eq!(error.code(), Code::SecretKeyMissing);
    let shown = error.to_string();
    assert!(shown.contains("composing URL of env.compose: it needs DB_USER"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_circle_ends_with_an_error_that_names_it() {
    // The manifest refuses circles; a record could still have one.
    let error = composed(&[("A", "{B}"), ("B", "{C}"), ("C", "{A}")], &[]).unwrap_err();
    assert!(error.to_string().contains("A of B of C of A is composed of itself"), "{error}");
    assert_eq!(made_of(&templates(&[("A", "{B}"), ("B", "{A}{X}")]), "A"), ["X".to_owned()].into());
}

#[test]
fn values_that_double_with_each_step_are_bounded() {
    let names: Vec<String> = (0..60).map(|at| format!("V{at:02}")).collect();
    let mut of: BTreeMap<String, String> =
        names.windows(2).map(|pair| (pair[0].clone(), format!("{{{0}}}{{{0}}}", pair[1]))).collect();
    of.insert("V59".to_owned(), "{X}".to_owned());
    let error = compose(&of, &variables(&[("X", "hunter2!")])).unwrap_err();
    assert!(
        error.to_string().contains("more than 65536 bytes") && !error.to_string().contains("hunter2"),
        "{error}"
    );
}

#[test]
fn a_composed_value_is_confidential_if_any_part_of_it_is() {
    let of = templates(&[("URL", "x://{HOST}"), ("DSN", "{URL}?p={PASSWORD:url}"), ("OUTER", "{DSN}")]);
    let secret = variables(&[("PASSWORD", "p/w")]);
    let mut all = variables(&[("HOST", "h"), ("PASSWORD", "p/w")]);
    all.extend(compose(&of, &all).unwrap());
    let confidential = confidential(&of, Some(&secret), &all);
    assert_eq!(confidential.keys().collect::<Vec<_>>(), ["DSN", "OUTER", "PASSWORD"]);
    assert_eq!(super::confidential(&of, None, &all).len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_arrives_unchanged_between_its_neighbours(value in any::<String>(), before in "[^{}]*", after in "[^{}]*") {
        let of = [("A", format!("{before}{{X}}{after}"))];
        let of: Vec<(&str, &str)> = of.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let made = composed(&of, &[("X", &value)]).unwrap();
        prop_assert_eq!(made, [row("A", &format!("{before}{value}{after}"))]);
    }

    #[test]
    fn no_set_of_templates_runs_without_end(
        texts in proptest::collection::vec("(\\{V[0-9]\\}|x){0,6}", 10),
    ) {
        let names: Vec<String> = (0..10).map(|at| format!("V{at}")).collect();
        let of = names.into_iter().zip(texts).collect();
        let _ = compose(&of, &Variables::default());
    }
}
