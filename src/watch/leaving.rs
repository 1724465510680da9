//! What the notices of IMDS mean. Pure: no clock, no machine.

use std::time::Duration;

use crate::facts::{Notices, Spot};

/// The beginning of the states of a warm pool.
pub const WARM: &str = "Warmed:";
/// A Spot instance stops its service this long before the interruption, in seconds: the 30 s that a service has to stop,
/// and some for the machine itself.
const LEAD: u64 = 45;
/// EC2 freezes such an instance, and its service goes on when the instance is resumed: no boot would start it again.
const HIBERNATE: &str = "hibernate";

/// How often the state of an instance is read that runs in a warm pool: it serves within 2 s after it leaves the pool, besides what
/// the service itself needs. Of IMDS's limit of about a thousand requests per second, this is less than a hundredth.
const IN_POOL: Duration = Duration::from_millis(500);

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    was_in_service: bool,
    was_warm: bool,
    leaves: bool,
    spot: Option<Spot>,
    rebalance: bool,
    stopped_for_spot: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// The instance leaves a warm pool in which it kept running, and goes into service.
    Enter,
    /// The group takes the instance out of service: to this state.
    Leave(String),
    /// A Spot notice is there for the first time.
    Spot(Spot),
    /// The interruption is near.
    StopForSpot,
    /// A rebalance recommendation is there for the first time.
    Rebalance,
}

impl Seen {
    /// What is due after these notices. `now`: seconds since 1970.
    pub fn look(&mut self, notices: &Notices, now: u64) -> Vec<Due> {
        let mut due = Vec::new();
        if self.was_warm && notices.state.as_deref() == Some("InService") {
            due.push(Due::Enter);
        }
        if let Some(state) = self.leaves_for(notices.state.as_deref()) {
            due.push(Due::Leave(state));
        }
        due.extend(self.spot(notices).map(Due::Spot));
        if notices.rebalance && !self.rebalance {
            self.rebalance = true;
            due.push(Due::Rebalance);
        }
        if self.is_interrupted(now) && !self.stopped_for_spot && !self.leaves {
            self.stopped_for_spot = true;
            due.push(Due::StopForSpot);
        }
        due
    }

    /// How long until the next look; `every` outside of a warm pool.
    pub fn pause(&self, every: Duration) -> Duration {
        if self.was_warm { IN_POOL.min(every) } else { every }
    }

    /// The notice of a Spot interruption, if it is a new one.
    pub fn spot(&mut self, notices: &Notices) -> Option<Spot> {
        let is_new = self.spot != notices.spot;
        self.spot.clone_from(&notices.spot);
        self.spot.clone().filter(|_| is_new)
    }

    /// Whether a Spot interruption is so near that the service must stop, whatever else is waited for.
    pub fn is_interrupted(&self, now: u64) -> bool {
        let ends = self.spot.as_ref().filter(|spot| spot.action != HIBERNATE);
        ends.is_some_and(|spot| spot.at.is_none_or(|at| now + LEAD >= at))
    }

    /// An instance on its way into the warm pool has such a state from the beginning; only one that was in service
    /// returns to it.
    fn leaves_for(&mut self, state: Option<&str>) -> Option<String> {
        let state = state?;
        self.was_warm = state.starts_with(WARM);
        self.was_in_service |= state == "InService";
        let leaves = state == "Terminated" || (self.was_in_service && state.starts_with(WARM));
        let is_new = leaves && !self.leaves;
        self.leaves = leaves;
        is_new.then(|| state.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(state: &str) -> Notices {
        Notices { state: Some(state.to_owned()), ..Notices::default() }
    }

    #[test]
    fn an_instance_leaves_once() {
        let mut seen = Seen::default();
        for calm in [Notices::default(), state("InService"), state("Standby"), state("Detached")] {
            assert_eq!(seen.look(&calm, 0), [], "{calm:?}");
        }
        assert_eq!(seen.look(&state("Terminated"), 0), [Due::Leave("Terminated".into())]);
        assert_eq!(seen.look(&state("Terminated"), 5), []);
        assert_eq!(Seen::default().look(&state("Terminated"), 0), [Due::Leave("Terminated".into())]);
    }

    #[test]
    fn an_instance_in_a_warm_pool_is_looked_at_twice_a_second() {
        let (mut seen, every) = (Seen::default(), Duration::from_secs(5));
        assert_eq!(seen.pause(every), every);
        seen.look(&state("Warmed:Running"), 0);
        assert_eq!(seen.pause(every), Duration::from_millis(500));
        seen.look(&state("InService"), 0);
        assert_eq!(seen.pause(every), every);
    }

    #[test]
    fn only_an_instance_that_was_in_service_returns_to_the_warm_pool() {
        let mut seen = Seen::default();
        assert_eq!(seen.look(&state("Warmed:Stopped"), 0), []);
        assert_eq!(seen.look(&state("InService"), 0), [Due::Enter]);
        assert_eq!(seen.look(&state("InService"), 0), []);
        assert_eq!(seen.look(&state("Warmed:Stopped"), 0), [Due::Leave("Warmed:Stopped".into())]);
        assert_eq!(seen.look(&state("InService"), 0), [Due::Enter]);
        assert_eq!(seen.look(&state("Warmed:Stopped"), 0).len(), 1, "the second time, too");
    }

    #[test]
    fn a_spot_instance_stops_shortly_before_its_interruption() {
        let spot = Spot { action: "terminate".into(), at: Some(1120) };
        let notices = Notices { spot: Some(spot.clone()), ..state("InService") };
        let mut seen = Seen::default();
        assert_eq!(seen.look(&notices, 1000), [Due::Spot(spot)]);
        assert_eq!(seen.look(&notices, 1074), []);
        assert_eq!(seen.look(&notices, 1075), [Due::StopForSpot]);
        assert_eq!(seen.look(&notices, 1080), []);
    }

    #[test]
    fn without_a_time_it_stops_at_once_and_not_if_the_group_terminates_it() {
        let spot = Spot { action: "interrupt".into(), at: None };
        let notices = Notices { spot: Some(spot.clone()), ..Notices::default() };
        assert_eq!(Seen::default().look(&notices, 0), [Due::Spot(spot.clone()), Due::StopForSpot]);
        let mut seen = Seen::default();
        let both = Notices { spot: Some(spot.clone()), ..state("Terminated") };
        assert_eq!(seen.look(&both, 0), [Due::Leave("Terminated".into()), Due::Spot(spot)]);
        assert!(seen.is_interrupted(0), "the wait for the hook ends");
    }

    #[test]
    fn a_rebalance_recommendation_is_told_once() {
        let notices = Notices { rebalance: true, ..state("InService") };
        let mut seen = Seen::default();
        assert_eq!(seen.look(&notices, 0), [Due::Rebalance]);
        assert_eq!(seen.look(&notices, 0), []);
    }

    #[test]
    fn a_hibernated_instance_goes_on_with_its_service() {
        let spot = Spot { action: "hibernate".into(), at: Some(1000) };
        let notices = Notices { spot: Some(spot.clone()), ..state("InService") };
        let mut seen = Seen::default();
        assert_eq!(seen.look(&notices, 1000), [Due::Spot(spot.clone())]);
        assert!(!seen.is_interrupted(2000));
        assert_eq!(seen.look(&state("InService"), 3000), [], "resumed");
        assert_eq!(seen.look(&notices, 4000), [Due::Spot(spot)], "the next notice is told, too");
    }
}
