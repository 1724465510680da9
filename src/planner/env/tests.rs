//! Tests of all dialects: the reader reads what the writer wrote, and variables that a file cannot contain are named.

use proptest::prelude::*;

use super::*;
use crate::secret::Secret;

const HEADER: &str = "Written by bootagent for auth-service";

fn set<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Variables {
    let mut variables = Variables::default();
    for (name, value) in pairs {
        variables.insert(name, Secret::new(value));
    }
    variables
}

struct Files {
    service: Sealed,
    dotenv: Option<Sealed>,
    left_out: Vec<String>,
}

fn files(variables: &Variables, dotenv: Option<&'static Dialect>) -> Files {
    let (rendering, left_out) = render(variables, dotenv, HEADER).unwrap();
    Files { service: rendering.service().clone(), dotenv: rendering.text(&DOTENV).cloned(), left_out }
}

fn rendered<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Files {
    files(&set(pairs), Some(&dotenv::NODE))
}

#[test]
fn files_are_sorted_and_carry_their_header() {
    let files =
        rendered([("B", "two"), ("A", "a\"b\\c$d`e"), ("C", "it's #1"), ("D", ""), ("E", "a\"b\\c`e")]);
    assert_eq!(
        files.service.expose(),
        "# Written by bootagent for auth-service\nA=\"a\\\"b\\\\c\\$d\\`e\"\nB=\"two\"\nC=\"it's #1\"\nD=\"\"\nE=\"a\\\"b\\\\c\\`e\"\n"
    );
    assert_eq!(
        files.dotenv.unwrap().expose(),
        "# Written by bootagent for auth-service\nB=two\nC=\"it's #1\"\nD=''\nE=a\"b\\c`e\n"
    );
    assert_eq!(files.left_out, ["A"]);
}

#[test]
fn without_variables_a_file_has_only_its_header() {
    let files = rendered([]);
    assert_eq!(files.service.expose(), "# Written by bootagent for auth-service\n");
    assert!(files.service.keys().is_empty());
}

#[test]
fn without_a_dialect_there_is_no_dotenv() {
    let files = files(&set([("A", "a\rb")]), None);
    assert_eq!((files.dotenv, files.left_out.len()), (None, 0));
}

#[test]
fn variables_that_dotenv_would_change_are_left_out_and_named() {
    let files = rendered([("A", "a\rb"), ("B", "b"), ("C", "'\"`"), ("__proto__", "x")]);
    assert_eq!(files.left_out, ["A", "C", "__proto__"]);
    assert_eq!(files.dotenv.unwrap().keys(), ["B"]);
    assert_eq!(files.service.keys(), ["A", "B", "C", "__proto__"]);
}

#[test]
fn a_value_that_systemd_rejects_is_refused_and_not_shown() {
    for value in ["hunter2\0", "hunter2\u{fdd0}", "hunter2\u{fffe}", "hunter2\u{10ffff}"] {
        let error = render(&set([("A", "x"), ("B", value)]), None, HEADER).unwrap_err();
        assert_eq!(error.code(), Code::EnvironmentUncarried);
        let message = error.to_string();
        assert!(message.contains("B contains") && !message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_header_that_would_be_read_as_more_than_a_comment_stops_the_run() {
    for header in ["x\nA=1", "x\rA=1", "x\\", "x\u{2028}A=1", "x\0"] {
        let error = render(&set([("B", "hunter2")]), Some(&dotenv::NODE), header).unwrap_err();
        assert_eq!(error.code(), Code::Bug, "{header:?}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[test]
fn the_model_of_systemd_has_its_special_cases() {
    let cases: [(&str, &[(&str, &str)]); 10] = [
        ("A=a # b\n", &[("A", "a # b")]),
        ("A= a\\\\b\\c  \n", &[("A", "a\\bc")]),
        ("A=a\\\nb\n", &[("A", "ab")]),
        ("A=a \\\n\n", &[("A", "a ")]),
        ("A='x'\"y\"z\n", &[("A", "xyz")]),
        ("A=\"x\\ny\\\nz\"\n", &[("A", "x\\nyz")]),
        ("; A=1\n# B=2\\\nC=3\nD=4", &[("D", "4")]),
        ("A\nB=1\n", &[("B", "1")]),
        ("A='1\nB=2", &[("A", "1\nB=2")]),
        ("export A=1\n", &[("export A", "1")]),
    ];
    for (text, pairs) in cases {
        assert_eq!(systemd::read(text), Some(set(pairs.iter().copied())), "{text:?}");
    }
}

#[test]
fn the_model_of_node_reads_only_what_both_readers_read() {
    let good: [(&str, &[(&str, &str)]); 4] = [
        ("# c\nA=a\\b'c\nB='x\ny'\n", &[("A", "a\\b'c"), ("B", "x\ny")]),
        ("A=\"it's\"\n", &[("A", "it's")]),
        ("A=`'\"\\n`\n", &[("A", "'\"\\n")]),
        ("", &[]),
    ];
    for (text, pairs) in good {
        assert_eq!(dotenv::read(text), Some(set(pairs.iter().copied())), "{text:?}");
    }
    let doubtful = [
        "A=\n",
        "A=a#b\n",
        "A= a\n",
        "A=a \n",
        "A=a\u{a0}\n",
        "A=a\u{2028}b\n",
        "A='a\n",
        "A='a' b\n",
        "A='a\\'\n",
        "A=\"a\\nb\"\n",
        "A=\"a\\b\"\n",
        "A='a\rb'\n",
        "A=1\nA=2\n",
        "A\n",
        "A=1",
        "export A=1\n",
        " A=1\n",
        "__proto__=1\n",
        "A='\0'\n",
        "\nA=1\n",
    ];
    for text in doubtful {
        assert_eq!(dotenv::read(text), None, "{text:?}");
    }
}

#[test]
fn each_dialect_is_found_by_its_name() {
    for known in ALL {
        assert_eq!(dialect(known.name).unwrap().name, known.name);
    }
    assert!(dialect("fortran").is_none());
}

#[test]
fn a_reader_that_reads_other_values_stops_the_run() {
    fn forgets(_: &str) -> Option<Variables> {
        Some(Variables::default())
    }
    static WRONG: Dialect = Dialect { read: forgets, ..dotenv::NODE };
    let error = render(&set([("A", "hunter2")]), Some(&WRONG), HEADER).unwrap_err();
    assert_eq!(error.code(), Code::Bug);
    assert!(error.to_string().contains(".env") && !error.to_string().contains("hunter2"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// The reader reads all that a dialect claims to carry, and the writer names the rest.
    #[test]
    fn every_dialect_carries_what_it_claims(key in "[A-Z_]{1,3}|__proto__", value in "([^\0]|['\"`\\\\#$\n\r ]){0,12}") {
        let variables = set([(key.as_str(), value.as_str())]);
        for dialect in ALL {
            let (text, holds, left_out) = (dialect.write)(&variables, HEADER);
            let carried = (dialect.uncarried)(&key, &Secret::new(value.as_str())).is_none();
            match (carried, dialect.if_uncarried) {
                (false, IfUncarried::Refuse) => continue,
                (false, IfUncarried::LeaveOut) => prop_assert_eq!(&left_out, &vec![key.clone()]),
                (true, _) => prop_assert_eq!(&holds, &variables),
            }
            prop_assert_eq!((dialect.read)(&text), Some(holds), "{}", dialect.name);
        }
    }

    #[test]
    fn every_value_is_read_back_or_named(
        values in prop::collection::btree_map("[A-Z_]{1,3}", "([^\0]|['\"`\\\\#$\n\r ]){0,12}", 0..6),
    ) {
        let carried = |value: &String| (systemd::SYSTEMD.uncarried)("", &Secret::new(value.as_str())).is_none();
        let variables = set(values.iter().filter(|(_, value)| carried(value)).map(|(k, v)| (k.as_str(), v.as_str())));
        let files = files(&variables, Some(&dotenv::NODE));
        prop_assert_eq!(systemd::read(files.service.expose()), Some(variables.clone()));
        let dotenv = dotenv::read(files.dotenv.unwrap().expose()).unwrap();
        for (name, value) in variables.iter() {
            let left_out = files.left_out.iter().any(|left| left == name);
            prop_assert_eq!(dotenv.get(name), (!left_out).then_some(value));
        }
        prop_assert_eq!(dotenv.len() + files.left_out.len(), variables.len());
    }
}

#[test]
fn keys_that_were_added_or_changed_since_the_former_text_are_found() {
    let former = rendered([("A", "1"), ("PEM", "x\nB=\"3\"\n"), ("TOKEN", "old"), ("TOKEN_2", "new")]);
    let changed = |pairs: &[(&str, &str)]| changed_keys(&set(pairs.iter().copied()), former.service.expose());
    assert_eq!(changed(&[("A", "1"), ("TOKEN", "old"), ("PEM", "x\nB=\"3\"\n")]), [] as [&str; 0]);
    assert_eq!(changed(&[("A", "1"), ("TOKEN", "new")]), ["TOKEN"]);
    assert_eq!(changed(&[("B", "3"), ("NEW", "1")]), ["B", "NEW"]);
    assert_eq!(changed(&[("A", ""), ("_2", "new")]), ["A", "_2"]);
}
