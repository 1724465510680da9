//! The mark that a passed health check leaves on tmpfs: which process of the unit passed, and when. It counts restarts
//! since then. Pure.

use crate::facts::{Passed, Restarts};
use crate::machine::process::units::UnitState;

/// Which process of the unit passed the health check, and when. As text two lines: the process, and the time, which
/// earlier versions of bootagent did not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    invocation: String,
    main_pid: u32,
    restarts: u32,
    /// Seconds since 1970.
    at: Option<u64>,
}

impl Mark {
    pub fn of(state: &UnitState, at: u64) -> Mark {
        let UnitState { invocation, main_pid, restarts, .. } = state.clone();
        Mark { invocation, main_pid, restarts, at: Some(at) }
    }

    pub fn parse(bytes: &[u8]) -> Option<Mark> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        let mut words = lines.next()?.split(' ');
        let (invocation, main_pid, restarts) = (words.next()?, words.next()?, words.next()?);
        Some(Mark {
            invocation: invocation.to_owned(),
            main_pid: main_pid.parse().ok()?,
            restarts: restarts.parse().ok()?,
            at: lines.next().and_then(|at| at.strip_prefix("at ")?.parse().ok()),
        })
    }

    pub fn text(&self) -> String {
        let at = self.at.map(|at| format!("at {at}\n")).unwrap_or_default();
        format!("{} {} {}\n{at}", self.invocation, self.main_pid, self.restarts)
    }

    /// Whether the process that passed still runs.
    pub fn is_of(&self, state: &UnitState) -> bool {
        let UnitState { invocation, main_pid, restarts, .. } = state;
        (&self.invocation, self.main_pid, self.restarts) == (invocation, *main_pid, *restarts)
    }

    pub fn passed(&self) -> Passed {
        Passed { at: self.at }
    }

    /// How often systemd restarted the unit since the check. `systemctl start` resets systemd's counter: then all that
    /// it counts came after the check.
    fn restarts_since(&self, state: &UnitState) -> u32 {
        match state.restarts.checked_sub(self.restarts) {
            Some(more) => more,
            None => state.restarts,
        }
    }
}

/// Restarts since the health check. `recent` are the times of the restarts of the last ten minutes, in seconds since
/// 1970, from the journal.
pub fn restarts(mark: Option<&Mark>, state: &UnitState, recent: &[u64]) -> Restarts {
    let since_check = mark.map(|mark| mark.restarts_since(state));
    // The health check itself judges restarts before it passed.
    let checked = mark.and_then(|mark| mark.at).unwrap_or(0);
    let after = recent.iter().filter(|at| **at >= checked).count() as u32;
    let recent_count = after.min(since_check.unwrap_or(after));
    let is_restarted = since_check.unwrap_or(state.restarts) > 0;
    let last = recent.iter().max().copied().or(state.active_since).filter(|_| is_restarted);
    Restarts { since_check, last, recent: recent_count }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(invocation: &str, main_pid: u32, restarts: u32) -> UnitState {
        UnitState { invocation: invocation.into(), main_pid, restarts, ..UnitState::default() }
    }

    #[test]
    fn a_mark_names_one_process_and_the_time() {
        let passed = state("abc", 17, 2);
        let mark = Mark::parse(Mark::of(&passed, 1000).text().as_bytes()).unwrap();
        assert!(mark.is_of(&passed) && mark.passed().at == Some(1000));
        for other in [state("abd", 17, 2), state("abc", 18, 2), state("abc", 17, 3)] {
            assert!(!mark.is_of(&other), "{other:?}");
        }
    }

    #[test]
    fn a_mark_of_an_earlier_version_is_read() {
        let mark = Mark::parse(b"abc 17 2\n").unwrap();
        assert!(mark.is_of(&state("abc", 17, 2)) && mark.passed().at.is_none());
        for text in [&b""[..], b"abc", b"abc x 2\n", b"\xff 1 1\n"] {
            assert_eq!(Mark::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn restarts_count_from_the_check_on() {
        let mark = Mark::of(&state("abc", 17, 2), 1000);
        assert_eq!(
            restarts(Some(&mark), &state("abc", 17, 2), &[]),
            Restarts { since_check: Some(0), ..Restarts::default() }
        );
        let now = UnitState { active_since: Some(1500), ..state("abd", 30, 5) };
        let counted = restarts(Some(&mark), &now, &[990, 1400, 1450, 1499]);
        assert_eq!(counted, Restarts { since_check: Some(3), last: Some(1499), recent: 3 });
        assert!(counted.is_crash_loop());
        // The journal no longer has the restarts: systemd still knows their number and the last start.
        let counted = restarts(Some(&mark), &now, &[]);
        assert_eq!(counted, Restarts { since_check: Some(3), last: Some(1500), recent: 0 });
    }

    #[test]
    fn a_start_by_hand_resets_systemds_counter() {
        let mark = Mark::of(&state("abc", 17, 4), 1000);
        let counted = restarts(Some(&mark), &state("abd", 30, 1), &[1200]);
        assert_eq!((counted.since_check, counted.recent), (Some(1), 1));
        // The two restarts were before the start by hand.
        assert_eq!(restarts(Some(&mark), &state("abd", 30, 0), &[1200, 1201]).recent, 0);
    }

    #[test]
    fn without_a_mark_the_journal_counts_and_three_restarts_are_a_crash_loop() {
        let two = restarts(None, &state("abd", 30, 2), &[1, 2]);
        assert!(!two.is_crash_loop() && two.since_check.is_none() && two.last == Some(2));
        assert!(restarts(None, &state("abd", 30, 3), &[1, 2, 3]).is_crash_loop());
    }
}
