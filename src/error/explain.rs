//! What the reference says about a code, beyond what the table of codes has: when it occurs. It is read from
//! docs/reference/errors.md, which is part of the program, so that there is no second copy; `tests/fence.rs` holds that each
//! code has its row there.

use super::Code;

const REFERENCE: &str = include_str!("../../docs/reference/errors.md");

impl Code {
    /// The code of this name, in any case, also without its `E-`.
    pub fn named(name: &str) -> Option<Code> {
        let name = name.to_ascii_uppercase();
        Code::ALL
            .iter()
            .copied()
            .find(|code| code.name() == name || code.name().strip_prefix("E-") == Some(&name))
    }

    /// When it occurs, as plain text.
    pub fn when(self) -> String {
        let begin = format!("| `{}` | ", self.name());
        let row = REFERENCE.lines().find_map(|line| line.strip_prefix(&begin));
        plain(row.and_then(|row| row.split(" | ").nth(1)).unwrap_or_default())
    }
}

/// Markdown without its marks: of a link only its text.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, link)) = rest.split_once('[') {
        text.push_str(before);
        rest = match link.split_once("](").and_then(|(words, to)| Some((words, to.split_once(')')?.1))) {
            Some((words, after)) => {
                text.push_str(words);
                after
            }
            None => {
                text.push('[');
                link
            }
        };
    }
    text.push_str(rest);
    text.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_says_when_it_occurs() {
        for code in Code::ALL {
            let when = code.when();
            assert!(
                when.len() > 10 && !when.contains(['`', '|']) && !when.contains("]("),
                "{}: {when:?}",
                code.name()
            );
        }
    }

    #[test]
    fn a_code_is_found_as_people_write_it() {
        for name in ["E-SECRET-MISSING", "e-secret-missing", "SECRET-MISSING", "secret-missing"] {
            assert_eq!(Code::named(name), Some(Code::SecretMissing), "{name}");
        }
        for name in ["", "E-", "E-SECRET", "E-E-SECRET-MISSING", "SECRET MISSING"] {
            assert_eq!(Code::named(name), None, "{name}");
        }
    }

    #[test]
    fn links_become_their_text() {
        assert_eq!(plain("`a` is [hidden](x.md#y) in [it"), "a is hidden in [it");
        assert_eq!(plain("[a](b) [c](d)."), "a c.");
    }
}
