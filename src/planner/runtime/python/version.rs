//! Versions of Python and what is asked of them: PEP 440's specifiers, Poetry's `^` and `~`, and a bare `3.12`.

use std::cmp::Ordering;

/// Bytes of a range: far more than any has.
const LONGEST: usize = 256;

/// `3.11.2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Vec<u64>);

impl Version {
    /// The numbers at the beginning: what comes after them (`3.13.0rc1`) is not compared.
    pub fn parse(text: &str) -> Option<Version> {
        let numbers = text.trim().split('.').map_while(|part| {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        });
        let numbers: Vec<u64> = numbers.take(4).collect();
        (!numbers.is_empty()).then_some(Version(numbers))
    }

    /// `3.11`.
    pub fn line(&self) -> String {
        self.0.iter().take(2).map(u64::to_string).collect::<Vec<_>>().join(".")
    }

    fn part(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn compared(&self, other: &Version) -> Ordering {
        (0..4)
            .map(|at| self.part(at).cmp(&other.part(at)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    fn begins_with(&self, other: &Version) -> bool {
        (0..other.0.len()).all(|at| self.part(at) == other.part(at))
    }
}

/// One of several lists of conditions must hold whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range(Vec<Vec<Condition>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    is: Is,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    AtLeast,
    AtMost,
    Above,
    Below,
    /// Exactly, or with `.*` and for a bare version what begins so.
    Exactly,
    Not,
    Begins,
    DoesNotBegin,
    Any,
}

impl Range {
    pub fn parse(text: &str) -> Option<Range> {
        if text.len() > LONGEST {
            return None;
        }
        let alternatives = text.split("||").map(|all| {
            let conditions: Option<Vec<Vec<Condition>>> = all
                .split(',')
                .flat_map(str::split_whitespace_around_operators)
                // `3.9.x` is `3.9.*`.
                .map(|one| {
                    conditions(&one.strip_suffix(".x").map_or(one.clone(), |line| format!("{line}.*")))
                })
                .collect();
            conditions.map(|conditions| conditions.concat()).filter(|conditions| !conditions.is_empty())
        });
        alternatives.collect::<Option<Vec<_>>>().map(Range)
    }

    pub fn allows(&self, version: &Version) -> bool {
        self.0.iter().any(|all| all.iter().all(|condition| condition.holds(version)))
    }

    /// The same without its last number where the range is one exact version: a patch is as good as another.
    pub fn of_its_line(&self) -> Option<Range> {
        match self.0.as_slice() {
            [all] => match all.as_slice() {
                [Condition { is: Is::Exactly | Is::Begins, version }] if version.0.len() > 2 => {
                    let version = Version(version.0[..2].to_vec());
                    Some(Range(vec![vec![Condition { is: Is::Begins, version }]]))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

impl Condition {
    fn holds(&self, version: &Version) -> bool {
        let order = version.compared(&self.version);
        match self.is {
            Is::AtLeast => order.is_ge(),
            Is::AtMost => order.is_le(),
            Is::Above => order.is_gt(),
            Is::Below => order.is_lt(),
            Is::Exactly => order.is_eq(),
            Is::Not => order.is_ne(),
            Is::Begins => version.begins_with(&self.version),
            Is::DoesNotBegin => !version.begins_with(&self.version),
            Is::Any => true,
        }
    }
}

/// `>=3.10` and the like. `^3.10` and `~=3.10` are two conditions.
fn conditions(text: &str) -> Option<Vec<Condition>> {
    const OPERATORS: [&str; 10] = ["===", "==", "~=", "!=", ">=", "<=", ">", "<", "^", "~"];
    let text = text.trim();
    if text == "*" {
        return Some(vec![Condition { is: Is::Any, version: Version(vec![0]) }]);
    }
    let operator = OPERATORS.iter().copied().find(|operator| text.starts_with(operator)).unwrap_or("");
    let written = text[operator.len()..].trim();
    let begins = written.ends_with(".*");
    let written = written.trim_end_matches(".*");
    let plain =
        !written.is_empty() && written.split('.').all(|part| part.starts_with(|c: char| c.is_ascii_digit()));
    let version = Version::parse(written).filter(|_| plain)?;
    let one = |is, version| Condition { is, version };
    let below = |at: usize| {
        let mut numbers: Vec<u64> = version.0[..=at.min(version.0.len() - 1)].to_vec();
        if let Some(last) = numbers.last_mut() {
            *last = last.checked_add(1)?;
        }
        Some(Version(numbers))
    };
    Some(match (operator, begins) {
        ("" | "==", true) => vec![one(Is::Begins, version)],
        ("!=", true) => vec![one(Is::DoesNotBegin, version)],
        (_, true) => return None,
        // Of a bare version the numbers that are not written are free.
        ("", _) => vec![one(Is::Begins, version)],
        ("==" | "===", _) => vec![one(Is::Exactly, version)],
        ("!=", _) => vec![one(Is::Not, version)],
        (">=", _) => vec![one(Is::AtLeast, version)],
        ("<=", _) => vec![one(Is::AtMost, version)],
        (">", _) => vec![one(Is::Above, version)],
        ("<", _) => vec![one(Is::Below, version)],
        ("^", _) => vec![one(Is::Below, below(0)?), one(Is::AtLeast, version)],
        ("~", _) => vec![one(Is::Below, below(1)?), one(Is::AtLeast, version)],
        ("~=", _) if version.0.len() > 1 => {
            vec![one(Is::Below, below(version.0.len() - 2)?), one(Is::AtLeast, version)]
        }
        _ => return None,
    })
}

/// Poetry writes `>=3.10 <3.13` without a comma, and some write `>= 3.10`.
trait Split {
    fn split_whitespace_around_operators(&self) -> Vec<String>;
}

impl Split for str {
    fn split_whitespace_around_operators(&self) -> Vec<String> {
        let is_operator = |word: &str| word.chars().all(|c| "<>=!~^".contains(c));
        let mut parts: Vec<String> = Vec::new();
        let mut joins = false;
        for word in self.split_whitespace() {
            match parts.last_mut() {
                Some(last) if joins => last.push_str(word),
                _ => parts.push(word.to_owned()),
            }
            joins = is_operator(word);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(range: &str, version: &str) -> bool {
        Range::parse(range).unwrap_or_else(|| panic!("{range}")).allows(&Version::parse(version).unwrap())
    }

    #[test]
    fn what_is_asked_for_is_allowed() {
        for (range, version) in [
            ("3.11", "3.11.2"),
            ("3", "3.11.2"),
            ("3.11.2", "3.11.2"),
            (">=3.10", "3.11.2"),
            (">= 3.10, < 3.13", "3.11.2"),
            (">=3.10 <3.13", "3.11.2"),
            ("==3.11.*", "3.11.2"),
            ("3.11.*", "3.11.2"),
            ("3.11.x", "3.11.2"),
            ("~=3.10", "3.11.2"),
            ("~=3.11.1", "3.11.2"),
            ("^3.9", "3.11.2"),
            ("~3.11", "3.11.2"),
            ("!=3.12.*", "3.11.2"),
            ("^2.7 || ^3.9", "3.11.2"),
            ("*", "3.11.2"),
            (">=3.13", "3.13.0rc1"),
        ] {
            assert!(allows(range, version), "{range} {version}");
        }
    }

    #[test]
    fn and_nothing_else() {
        for (range, version) in [
            ("3.1", "3.11.2"),
            ("3.11", "3.12.0"),
            (">=3.12", "3.11.2"),
            ("<3.11", "3.11.2"),
            ("==3.11", "3.11.2"),
            ("~=3.11.1", "3.12.0"),
            ("~=3.10", "4.0.0"),
            ("^3.9", "4.0.0"),
            ("~3.11", "3.12.0"),
            ("!=3.11.*", "3.11.2"),
            ("^2.7 || ^3.12", "3.11.2"),
        ] {
            assert!(!allows(range, version), "{range} {version}");
        }
    }

    #[test]
    fn other_words_are_not_ranges() {
        for range in ["three", "", ">=", "x", "pypy3.9", "~=3", ">=3.*", &"3.11,".repeat(100)] {
            assert_eq!(Range::parse(range), None, "{range}");
        }
    }

    #[test]
    fn an_exact_version_has_a_line() {
        let line = |range: &str| Range::parse(range).unwrap().of_its_line();
        assert_eq!(line("3.11.4"), Range::parse("3.11"));
        assert_eq!(line("==3.11.4"), Range::parse("3.11"));
        assert_eq!(line("3.11"), None);
        assert_eq!(line(">=3.11.4"), None);
    }
}
