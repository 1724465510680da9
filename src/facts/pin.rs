//! The pin of a rollout: the commit that instances take in place of the branch's newest one, and what replaces it. Plain data.

use serde::{Deserialize, Serialize};

use super::{Commit, FleetKnown, records};

/// The commit that instances take in place of the branch's newest one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetPin {
    #[serde(default = "records::first_schema")]
    pub schema: u32,
    pub commit: Commit,
    /// The commit that was pinned or last good before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Commit>,
    /// Commits of rollouts that went back, the newest first: `--back` does not lead to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Commit>,
}

/// Older ones are forgotten.
const MOST_FAILED: usize = 8;

impl FleetPin {
    /// The pin that replaces `known` for a rollout of `commit`.
    pub fn of_rollout(commit: &Commit, known: &FleetKnown) -> FleetPin {
        let pinned = known.pin.as_ref();
        let before = match known.present() {
            // The same commit once more: what was before it stays.
            Some(present) if present == commit => {
                let of_pin = pinned.and_then(|pin| pin.before.clone());
                of_pin.or_else(|| known.good.as_ref()?.before.clone())
            }
            present => present.cloned(),
        };
        let failed = pinned.into_iter().flat_map(|pin| &pin.failed).filter(|failed| *failed != commit);
        FleetPin {
            schema: records::SCHEMA,
            commit: commit.clone(),
            before,
            failed: failed.cloned().collect(),
        }
    }

    /// The pin after a rollout of `failed` that went back: what was pinned or last good before it. `None` if there is no other
    /// commit.
    pub fn back_from(failed: &Commit, known: &FleetKnown) -> Option<FleetPin> {
        let commit = known.present().filter(|present| *present != failed)?;
        let former = known.pin.clone();
        let of_good = || known.good.as_ref()?.before.clone();
        let before = former.as_ref().map_or_else(of_good, |pin| pin.before.clone());
        let earlier = former.into_iter().flat_map(|pin| pin.failed).filter(|earlier| earlier != failed);
        let all = std::iter::once(failed.clone()).chain(earlier).take(MOST_FAILED).collect();
        let before = before.filter(|before| before != failed && before != commit);
        Some(FleetPin { schema: records::SCHEMA, commit: commit.clone(), before, failed: all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::FleetGood;

    fn commit(letter: &str) -> Commit {
        Commit::try_from(letter.repeat(40)).unwrap()
    }

    fn pin(letter: &str, before: Option<&str>) -> FleetPin {
        FleetPin { schema: 1, commit: commit(letter), before: before.map(commit), failed: Vec::new() }
    }

    fn good(letter: &str, before: Option<&str>) -> FleetGood {
        FleetGood { schema: 1, commit: commit(letter), instance: "i-1".into(), before: before.map(commit) }
    }

    #[test]
    fn a_rollout_that_goes_back_restores_the_pin_and_what_was_before_it() {
        let known = FleetKnown { pin: Some(pin("b", Some("a"))), ..FleetKnown::default() };
        assert_eq!(FleetPin::of_rollout(&commit("c"), &known), pin("c", Some("b")));
        let back = FleetPin::back_from(&commit("c"), &known).unwrap();
        assert_eq!(back, FleetPin { failed: vec![commit("c")], ..pin("b", Some("a")) });
        // The commit that failed may have been healthy on one instance meanwhile.
        let after = FleetKnown { pin: Some(back), good: Some(good("c", Some("b"))), place: None };
        assert_eq!(after.before(), Some(&commit("a")), "not the one that failed");
        // Rolled out on purpose, it counts again.
        assert_eq!(FleetPin::of_rollout(&commit("c"), &after).failed, []);
        assert_eq!(FleetPin::of_rollout(&commit("d"), &after).failed, [commit("c")]);
    }

    #[test]
    fn the_same_commit_once_more_keeps_what_was_before_it_and_has_nothing_to_go_back_to() {
        let known = FleetKnown { pin: Some(pin("b", Some("a"))), ..FleetKnown::default() };
        assert_eq!(FleetPin::of_rollout(&commit("b"), &known), pin("b", Some("a")));
        assert_eq!(FleetPin::back_from(&commit("b"), &known), None);
        assert_eq!(FleetPin::back_from(&commit("b"), &FleetKnown::default()), None);
    }

    #[test]
    fn without_a_pin_the_last_good_commit_is_the_present_one() {
        let known = FleetKnown { good: Some(good("b", Some("a"))), ..FleetKnown::default() };
        assert_eq!((known.present(), known.before()), (Some(&commit("b")), Some(&commit("a"))));
        let back = FleetPin::back_from(&commit("c"), &known).unwrap();
        assert_eq!((&back.commit, &back.before), (&commit("b"), &Some(commit("a"))));
        let mut many = known;
        for letter in "123456789".chars().map(String::from) {
            many.pin = FleetPin::back_from(&commit(&letter), &many);
        }
        let failed = many.pin.unwrap().failed;
        assert_eq!((failed.len(), &failed[0]), (MOST_FAILED, &commit("9")));
    }
}
