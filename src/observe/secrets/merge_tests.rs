//! Values of several sources: their order, picked and renamed keys, and the origin of each variable.

use super::*;

fn secret(name: &str) -> ValuePlace {
    ValuePlace::Secret(name.to_owned())
}

fn text(place: ValuePlace, text: &str) -> PlaceValues {
    PlaceValues { place, content: Content::Text(Secret::new(text)) }
}

fn below(path: &str, values: &[(&str, &str)]) -> PlaceValues {
    let listed = values.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
    PlaceValues { place: ValuePlace::Parameters(path.to_owned()), content: Content::Listed(listed) }
}

fn of(read: &PlaceValues) -> ValueSource {
    ValueSource::whole(read.place.clone())
}

fn merged(sources: &[ValueSource], read: &[PlaceValues]) -> Result<Vec<(String, String, String)>> {
    let merged = merge(sources, read, Some(&BTreeSet::new()))?;
    let all = merged
        .variables
        .iter()
        .map(|(name, value)| (name.to_owned(), value.expose().to_owned(), merged.origins[name].to_string()));
    Ok(all.collect())
}

fn row(name: &str, value: &str, origin: &str) -> (String, String, String) {
    (name.to_owned(), value.to_owned(), origin.to_owned())
}

fn error(sources: &[ValueSource], read: &[PlaceValues], code: Code, says: &[&str]) {
    let error = merge(sources, read, Some(&BTreeSet::new())).err().unwrap();
    assert_eq!(error.code(), code, "{error}");
    let shown = error.to_string();
    assert!(says.iter().all(|word| shown.contains(word)), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_later_source_replaces_variables_of_an_earlier_one() {
    let read = [text(secret("a"), r#"{"A": "1", "B": "1"}"#), text(secret("b"), "B=2\nC=2\n")];
    let sources = [of(&read[0]), of(&read[1])];
    let expected = [row("A", "1", "secret a"), row("B", "2", "secret b"), row("C", "2", "secret b")];
    assert_eq!(merged(&sources, &read).unwrap(), expected);
}

#[test]
fn keys_are_picked_renamed_and_get_a_prefix() {
    let read = [text(secret("db"), r#"{"host": "h", "user": "u", "port": 5432, "other": "x"}"#)];
    let source = ValueSource {
        keys: Some(["user".to_owned(), "port".to_owned()].into()),
        rename: [("host".to_owned(), "PGHOST".to_owned())].into(),
        prefix: "DB_".to_owned(),
        ..of(&read[0])
    };
    let expected = [
        row("DB_port", "5432", "port of secret db"),
        row("DB_user", "u", "user of secret db"),
        row("PGHOST", "h", "host of secret db"),
    ];
    assert_eq!(merged(&[source], &read).unwrap(), expected);
}

#[test]
fn a_single_value_has_the_name_that_the_manifest_gives_it() {
    let parameter = ValuePlace::Parameter("/auth/key".to_owned());
    let read = [text(secret("tls"), "-----BEGIN\nhunter2"), text(parameter, "a,b")];
    let named = |at: usize, name: &str| ValueSource { whole: Some(name.to_owned()), ..of(&read[at]) };
    let expected =
        [row("KEY", "a,b", "parameter /auth/key"), row("TLS", "-----BEGIN\nhunter2", "secret tls")];
    assert_eq!(merged(&[named(0, "TLS"), named(1, "KEY")], &read).unwrap(), expected);
}

#[test]
fn parameters_below_a_path_become_variables() {
    let read = [below("/auth", &[("DB/HOST", "h"), ("api-key", "k"), ("a.b", "c")])];
    let expected = [
        row("DB_HOST", "h", "parameters below /auth"),
        row("a_b", "c", "parameters below /auth"),
        row("api_key", "k", "parameters below /auth"),
    ];
    assert_eq!(merged(&[of(&read[0])], &read).unwrap(), expected);
    let renamed =
        ValueSource { rename: [("api_key".to_owned(), "API_KEY".to_owned())].into(), ..of(&read[0]) };
    let shown = merged(&[renamed], &read).unwrap();
    assert!(shown.contains(&row("API_KEY", "k", "api_key of parameters below /auth")), "{shown:?}");
}

#[test]
fn two_keys_never_become_one_variable_silently() {
    let read = [below("/auth", &[("a/b", "hunter2"), ("a-b", "hunter2")])];
    error(&[of(&read[0])], &read, Code::SecretInvalid, &["a/b and a-b would both become a_b", "below /auth"]);
    let read = [text(secret("a"), r#"{"X": "hunter2", "Y": "hunter2"}"#)];
    let source = ValueSource { rename: [("X".to_owned(), "Y".to_owned())].into(), ..of(&read[0]) };
    error(&[source], &read, Code::SecretInvalid, &["would both become Y", "secret a"]);
}

#[test]
fn a_missing_key_is_named_with_its_source_unless_it_is_optional() {
    let read = [text(secret("shared/db"), r#"{"host": "hunter2"}"#)];
    let wanted = ValueSource {
        keys: Some(["host".to_owned(), "user".to_owned()].into()),
        rename: [("pass".to_owned(), "PASS".to_owned())].into(),
        ..of(&read[0])
    };
    let says = ["reading secret shared/db: it has no pass, user, which env.from asks for", "optional = true"];
    error(std::slice::from_ref(&wanted), &read, Code::SecretKeyMissing, &says[..1]);
    let optional = ValueSource { optional: true, ..wanted };
    assert_eq!(merged(&[optional], &read).unwrap(), [row("host", "hunter2", "secret shared/db")]);
}

#[test]
fn an_absent_source_is_nothing_only_if_it_is_optional() {
    let read = [PlaceValues { place: secret("a"), content: Content::Absent }];
    let optional = ValueSource { optional: true, whole: Some("A".to_owned()), ..of(&read[0]) };
    assert_eq!(merged(&[optional], &read).unwrap(), []);
    error(&[of(&read[0])], &read, Code::Bug, &["absent"]);
}

#[test]
fn names_are_judged_after_they_are_renamed() {
    let read = [text(secret("a"), "LD_PRELOAD=hunter2\nRELOAD=hunter2\nX=1\n")];
    error(&[of(&read[0])], &read, Code::SecretKeyRefused, &["LD_PRELOAD", "secret a"]);
    let prefixed = ValueSource { prefix: "LD_P".to_owned(), ..of(&read[0]) };
    error(&[prefixed], &read, Code::SecretKeyRefused, &["LD_PRELOAD is refused"]);
    let picked = ValueSource { keys: Some(["X".to_owned()].into()), ..of(&read[0]) };
    assert_eq!(merged(&[picked], &read).unwrap(), [row("X", "1", "secret a")]);
}

#[test]
fn all_values_together_are_bounded() {
    let large = "x".repeat(60_000);
    let read: Vec<PlaceValues> =
        (0..20).map(|at| text(secret(&format!("s{at}")), &format!("A{at}={large}"))).collect();
    let sources: Vec<ValueSource> = read.iter().map(of).collect();
    assert_eq!(merged(&sources[..17], &read).unwrap().len(), 17);
    error(&sources, &read, Code::SecretInvalid, &["more than 1048576 bytes", "secret s17"]);
}
