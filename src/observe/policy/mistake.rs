//! What is wrong with a policy, in the manifest's words instead of serde's.

use crate::observe::nearest::nearest;
use crate::secret::excerpt;

/// `message` is serde's, `line` the line of the policy that it is about.
pub fn said(message: &str, line: &str) -> String {
    let key = line.split_once('=').map(|(key, _)| key.trim()).filter(|key| !key.is_empty());
    let of_key = |what: String| key.map_or_else(|| what.clone(), |key| format!("{}: {what}", excerpt(key)));
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let names = quoted(rest);
        let Some((unknown, known)) = names.split_first() else { return message.to_owned() };
        return match nearest(unknown, known) {
            Some(near) => format!("unknown key \"{}\"; did you mean \"{near}\"?", excerpt(unknown)),
            None => format!("unknown key \"{}\"; known here: {}", excerpt(unknown), known.join(", ")),
        };
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let names = quoted(rest);
        let Some((unknown, known)) = names.split_first() else { return message.to_owned() };
        return of_key(format!("\"{}\" is not one of {}", excerpt(unknown), known.join(", ")));
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return format!("the key {} is missing", name.replace('`', "\""));
    }
    let found = ["invalid type: ", "invalid value: "].iter().find_map(|kind| message.strip_prefix(kind));
    match found.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, expected)) => of_key(format!("expected {}, and not {}", wanted(expected), given(found))),
        None => of_key(message.to_owned()),
    }
}

/// The words between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn wanted(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list in brackets",
        "a string" => "a string in quotes",
        "a boolean" => "true or false",
        "a map" => "a table",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative, and not too large",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

fn given(found: &str) -> String {
    match found {
        "map" => "a table".to_owned(),
        "sequence" => "a list".to_owned(),
        _ => match found.split_once(' ') {
            Some(("integer" | "boolean" | "floating", value)) => {
                value.replace(['`'], "").replace("point ", "")
            }
            Some(("string", text)) => format!("the string {text}"),
            _ => found.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::fragment::parse;

    fn said(text: &str) -> String {
        parse("p.toml", text).unwrap_err().cause().own()
    }

    #[test]
    fn mistakes_are_said_in_words_of_the_policy() {
        for (text, wanted) in [
            ("repositry = \"x\"", "p.toml:1: unknown key \"repositry\"; did you mean \"repository\"?"),
            ("\n[origns]\nmirror = \"x\"", "p.toml:2: unknown key \"origns\"; did you mean \"origins\"?"),
            (
                "[git]\nuser = \"x\"",
                "p.toml:2: unknown key \"user\"; known here: host_keys, signers, submodules",
            ),
            ("repository = 5", "p.toml:1: repository: expected a string in quotes, and not 5"),
            (
                "services = \"auth\"",
                "p.toml:1: services: expected a list in brackets, and not the string \"auth\"",
            ),
            ("lockfile = [1]", "p.toml:1: lockfile: expected true or false, and not a list"),
            ("fleet = true", "p.toml:1: fleet: expected a table, and not true"),
            ("budget = \"abc\"", "p.toml:1: budget: expected a time like 90s, 2m or 1h"),
            (
                "[fleet]\non_failure = \"panic\"",
                "p.toml:2: on_failure: \"panic\" is not one of abandon, last-good, hold",
            ),
        ] {
            assert_eq!(said(text), wanted);
        }
        assert!(
            said("whatever = 1").starts_with("p.toml:1: unknown key \"whatever\"; known here: repository, ")
        );
    }
}
