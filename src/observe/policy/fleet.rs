//! The table `[fleet]`: the S3 prefix with what the instances of a service and environment share, and what an instance does
//! with a commit that fails.

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::facts::FleetPrefix;
use crate::plan::Setting;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// `s3://BUCKET/PATH`. Without it, nothing is read from S3 or written there.
    pub prefix: Option<String>,
    pub unreachable: Option<Unreachable>,
    pub on_failure: Option<OnFailure>,
    /// On how many instances a commit may fail before others do not try it.
    pub attempts: Option<u32>,
}

/// What a new instance does if it cannot read the fleet memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unreachable {
    /// The run fails and is repeated: a guess could start another commit than its siblings run.
    #[default]
    Fail,
    /// It takes the branch's newest commit.
    Branch,
}

/// What an instance does if a commit fails on it and no former deployment serves there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Auto Scaling is told to terminate the instance.
    #[default]
    Abandon,
    /// The instance deploys the last commit that was healthy in the group.
    LastGood,
    /// The instance is kept, out of service, until the hook's own time limit.
    Hold,
}

/// A larger number would not limit anything.
const MOST_ATTEMPTS: u32 = 100;
const ATTEMPTS: u32 = 3;

impl Fleet {
    pub fn is_empty(&self) -> bool {
        *self == Fleet::default()
    }

    pub fn over(self, under: Fleet) -> Fleet {
        Fleet {
            prefix: self.prefix.or(under.prefix),
            unreachable: self.unreachable.or(under.unreachable),
            on_failure: self.on_failure.or(under.on_failure),
            attempts: self.attempts.or(under.attempts),
        }
    }

    pub fn check(&self) -> Result<(), String> {
        if let Some(prefix) = &self.prefix {
            let shown: String = prefix.chars().take(80).flat_map(char::escape_default).collect();
            FleetPrefix::try_from(prefix.as_str())
                .map_err(|why| format!("fleet.prefix is \"{shown}\": {why}"))?;
        }
        if self.attempts.is_some_and(|attempts| !(1..=MOST_ATTEMPTS).contains(&attempts)) {
            return Err(format!("fleet.attempts is not between 1 and {MOST_ATTEMPTS}"));
        }
        let needs_prefix = [
            ("unreachable", self.unreachable.is_some()),
            ("on_failure = \"last-good\"", self.on_failure == Some(OnFailure::LastGood)),
            ("attempts", self.attempts.is_some()),
        ];
        match needs_prefix.into_iter().find(|(_, is_set)| *is_set && self.prefix.is_none()) {
            Some((key, _)) => Err(format!("fleet.{key} is set without fleet.prefix")),
            None => Ok(()),
        }
    }
}

/// The table's values, with their defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetWanted {
    pub prefix: Option<FleetPrefix>,
    pub unreachable: Unreachable,
    pub on_failure: OnFailure,
    pub attempts: u32,
}

impl Policy {
    pub fn fleet(&self) -> (FleetWanted, Vec<Setting>) {
        let prefix = self.uppermost(|fragment| fragment.fleet.prefix.clone());
        let unreachable = self.uppermost(|fragment| fragment.fleet.unreachable);
        let on_failure = self.uppermost(|fragment| fragment.fleet.on_failure);
        let attempts = self.uppermost(|fragment| fragment.fleet.attempts);
        let on_failure_words = on_failure.clone().map(|found| found.map(OnFailure::name));
        let unreachable_words = unreachable.clone().map(|found| found.map(Unreachable::name));
        let settings = [
            prefix.as_ref().map(|found| found.setting("fleet.prefix")),
            unreachable_words.map(|found| found.setting("fleet.unreachable")),
            on_failure_words.map(|found| found.setting("fleet.on_failure")),
            attempts.as_ref().map(|found| found.setting("fleet.attempts")),
        ];
        let wanted = FleetWanted {
            prefix: prefix.and_then(|found| FleetPrefix::try_from(found.value).ok()),
            unreachable: unreachable.map(|found| found.value).unwrap_or_default(),
            on_failure: on_failure.map(|found| found.value).unwrap_or_default(),
            attempts: attempts.map_or(ATTEMPTS, |found| found.value),
        };
        (wanted, settings.into_iter().flatten().collect())
    }
}

impl OnFailure {
    pub fn name(self) -> &'static str {
        match self {
            OnFailure::Abandon => "abandon",
            OnFailure::LastGood => "last-good",
            OnFailure::Hold => "hold",
        }
    }
}

impl Unreachable {
    pub fn name(self) -> &'static str {
        match self {
            Unreachable::Fail => "fail",
            Unreachable::Branch => "branch",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, defaults, parse};
    use super::*;
    use crate::facts::{Commit, Facts, FleetKnown, FleetPin};
    use crate::observe::select;

    fn fleet(text: &str) -> Result<(), String> {
        toml::from_str::<Fleet>(text).map_err(|error| error.to_string())?.check()
    }

    #[test]
    fn a_prefix_and_its_choices_are_accepted() {
        for good in [
            "",
            "prefix = \"s3://acme-fleet\"",
            "prefix = \"s3://acme-fleet/boot\"\non_failure = \"last-good\"\nunreachable = \"branch\"\nattempts = 1",
            "on_failure = \"hold\"",
        ] {
            assert_eq!(fleet(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        for (bad, says) in [
            ("prefix = \"https://acme\"", "fleet.prefix"),
            ("prefix = \"s3://acme/\\u001b[31m\"", "fleet.prefix"),
            ("on_failure = \"last-good\"", "without fleet.prefix"),
            ("attempts = 3", "without fleet.prefix"),
            ("prefix = \"s3://acme-fleet\"\nattempts = 0", "fleet.attempts"),
            ("on_failure = \"retry\"", "on_failure"),
            ("bucket = \"x\"", "bucket"),
        ] {
            let cause = fleet(bad).unwrap_err();
            assert!(cause.contains(says) && !cause.contains('\u{1b}'), "{bad}: {cause}");
        }
    }

    /// The ref of a selection with this policy's text, tag and pin, and its origin.
    fn chosen(text: &str, tag: Option<&str>, pin: Option<&str>) -> Option<(String, String)> {
        let text = format!("repository = 'https://git.test/{{service}}.git'\n{text}");
        let (defaults, file) = (defaults(), parse("policy.toml", &text).unwrap());
        let file = (Origin::File("policy.toml".to_owned()), file);
        let policy = Policy { layers: vec![(Origin::Default, defaults), file], until: None };
        let names = [
            ("bootagent:service", Some("auth")),
            ("bootagent:environment", Some("test")),
            ("bootagent:ref", tag),
        ];
        let tags = names.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
        let pin =
            pin.map(|pin| FleetPin::of_rollout(&Commit::try_from(pin).unwrap(), &FleetKnown::default()));
        let fleet = FleetKnown { place: Some("s3://acme/pin.json".to_owned()), pin, good: None };
        let facts = Facts { tags: Some(tags.collect()), fleet, ..Facts::default() };
        let selection = select(&facts, &policy, None, false).unwrap();
        let setting = selection.settings.into_iter().find(|setting| setting.name == "ref")?;
        Some((setting.value, setting.origin))
    }

    #[test]
    fn the_pin_counts_where_neither_policy_nor_tag_names_a_commit() {
        let (a, b, c) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
        let of = |found: Option<(String, String)>| found.map(|(value, _)| value);
        assert_eq!(chosen("", None, None), None);
        let (value, origin) = chosen("", None, Some(&a)).unwrap();
        assert_eq!((value, origin.as_str()), (a.clone(), "the rollout's pin in s3://acme/pin.json"));
        assert_eq!(of(chosen("", Some(&b), Some(&a))), Some(b.clone()));
        assert_eq!(of(chosen(&format!("ref = '{c}'"), Some(&b), Some(&a))), Some(c));
    }
}
