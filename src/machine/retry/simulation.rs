//! 500 instances that start at the same moment, against the rates at which AWS throttles: how much longer they take than one
//! alone. The pauses and the ends of the retries are the real ones; the clock is simulated, and so are calls and work.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;
use crate::fault::Phase;

const AGENTS: usize = 500;
/// How much longer than a single boot the slowest but five may take.
const ALLOWED: f64 = 1.5;
const DOCUMENT: &str = include_str!("../../../docs/autoscaling.md");

/// A server that answers so many calls in a second, and after a pause at most `burst` at once.
#[derive(Clone)]
struct Server {
    rate: f64,
    burst: f64,
    left: f64,
    at: f64,
}

impl Server {
    fn new(rate: f64, burst: f64) -> Server {
        Server { rate, burst, left: burst, at: 0.0 }
    }

    fn accepts(&mut self, now: f64) -> bool {
        self.left = (self.left + (now - self.at) * self.rate).min(self.burst);
        self.at = now;
        let accepts = self.left >= 1.0;
        self.left -= if accepts { 1.0 } else { 0.0 };
        accepts
    }
}

/// A part of a boot.
#[derive(Clone, Copy)]
enum Part {
    /// Seconds, with a random difference of up to a tenth.
    Work(f64),
    Call {
        server: usize,
        seconds: f64,
        /// What the server answers beyond its rate, and how long that is retried.
        beyond: Fault,
        patience: Phase,
    },
}

const SECRETS: usize = 0;
const S3: usize = 1;
const GIT: usize = 2;
const SCALING: usize = 3;

/// A boot: what the fleet memory and the secret say, the commit, the build, the start, the hook, and the report.
fn boot(build: f64) -> Vec<Part> {
    let call = |server, seconds, beyond, patience| Part::Call { server, seconds, beyond, patience };
    vec![
        Part::Work(0.3),
        call(S3, 0.03, Fault::FleetUnreachable, Phase::Secret),
        call(S3, 0.03, Fault::FleetUnreachable, Phase::Secret),
        call(GIT, 0.4, Fault::GitBusy, Phase::Fetch),
        call(SECRETS, 0.02, Fault::SecretThrottled, Phase::Secret),
        Part::Work(build),
        Part::Work(1.5),
        call(SCALING, 0.05, Fault::HookUnreachable, Phase::Hook),
        call(S3, 0.03, Fault::FleetUnreachable, Phase::FleetWrite),
    ]
}

/// The published rates of Secrets Manager (10,000 a second) and S3 (3,500 PUT for a prefix, taken for all). Those of a git server
/// and of Auto Scaling, which are not published: calls in a second, and at once after a pause.
fn servers(git: (f64, f64), scaling: (f64, f64)) -> Vec<Server> {
    let published = [(10_000.0, 10_000.0), (3_500.0, 3_500.0)];
    published.into_iter().chain([git, scaling]).map(|(rate, burst)| Server::new(rate, burst)).collect()
}

struct Agent {
    part: usize,
    backoff: Backoff,
    /// When the first try of the present call was.
    since: Option<f64>,
}

/// The seconds that each agent takes, the quickest first. All start at 0; none may fail.
fn simulate(agents: usize, parts: &[Part], mut servers: Vec<Server>) -> Vec<f64> {
    // Times in microseconds: they have an order.
    let stamp = |seconds: f64| (seconds * 1e6) as u64;
    let mut due: BinaryHeap<Reverse<(u64, usize)>> = (0..agents).map(|agent| Reverse((0, agent))).collect();
    let new = || Agent { part: 0, backoff: Backoff::default(), since: None };
    let mut all: Vec<Agent> = (0..agents).map(|_| new()).collect();
    let (mut took, origin) = (Vec::new(), Instant::now());
    while let Some(Reverse((at, number))) = due.pop() {
        let (now, agent) = (at as f64 / 1e6, &mut all[number]);
        let Some(part) = parts.get(agent.part) else {
            took.push(now);
            continue;
        };
        let next = match *part {
            Part::Work(seconds) => {
                agent.part += 1;
                now + seconds * (0.9 + 0.2 * fastrand::f64())
            }
            Part::Call { server, seconds, .. } if servers[server].accepts(now) => {
                *agent = Agent { part: agent.part + 1, ..new() };
                now + seconds
            }
            Part::Call { seconds, beyond, patience, .. } => {
                let (answered, since) = (now + seconds, *agent.since.get_or_insert(now));
                let moment = |seconds: f64| origin + Duration::from_secs_f64(seconds);
                let limit = RetryLimit::until(moment(since) + patience.seconds().duration());
                let left = end(beyond, limit, moment(since)).saturating_duration_since(moment(answered));
                assert!(!left.is_zero(), "an agent gave up a call after {} s", answered - since);
                let pause = agent.backoff.pause(&beyond.error("calling", "too many calls"));
                answered + pause.min(left).as_secs_f64()
            }
        };
        due.push(Reverse((stamp(next), number)));
    }
    took
}

/// Of sorted times.
fn percentile(took: &[f64], of: f64) -> f64 {
    took[((took.len() as f64 * of).ceil() as usize).clamp(1, took.len()) - 1]
}

struct Row {
    single: f64,
    p50: f64,
    p99: f64,
}

/// Seconds of the build, and the rates of `servers`.
type Case = (f64, (f64, f64), (f64, f64));

fn row((build, git, scaling): Case) -> Row {
    fastrand::seed(500);
    let alone = (0..50).flat_map(|_| simulate(1, &boot(build), servers(git, scaling)));
    let mut alone: Vec<f64> = alone.collect();
    alone.sort_by(f64::total_cmp);
    let together = simulate(AGENTS, &boot(build), servers(git, scaling));
    assert_eq!(together.len(), AGENTS);
    Row { single: percentile(&alone, 0.5), p50: percentile(&together, 0.5), p99: percentile(&together, 0.99) }
}

const PREPARED: f64 = 4.0;
const BARE: f64 = 40.0;

#[test]
fn the_table_of_the_document_is_what_the_simulation_gives() {
    let mut missing = Vec::new();
    for (image, build) in [("an AMI with Node, `npm ci`", PREPARED), ("a bare image", BARE)] {
        for (git, scaling) in [
            ((500.0, 500.0), (200.0, 200.0)),
            ((500.0, 500.0), (20.0, 100.0)),
            ((100.0, 100.0), (20.0, 100.0)),
        ] {
            let Row { single, p50, p99 } = row((build, git, scaling));
            let servers = format!("{}, {} at once | {}, {} at once", git.0, git.1, scaling.0, scaling.1);
            let factor = p99 / single;
            let line =
                format!("| {image} | {servers} | {single:.0} s | {p50:.0} s | {p99:.0} s | {factor:.1} |\n");
            if !DOCUMENT.contains(&line) {
                missing.push(line);
            }
        }
    }
    assert!(missing.is_empty(), "docs/autoscaling.md has not:\n{}", missing.concat());
}

#[test]
fn five_hundred_at_once_take_at_most_half_as_long_again_as_one() {
    // Of a quick boot only if neither server is slow: 500 calls take longer than the boot otherwise.
    for case in [(PREPARED, (500.0, 500.0), (200.0, 200.0)), (BARE, (500.0, 500.0), (20.0, 100.0))] {
        let Row { single, p99, .. } = row(case);
        assert!(p99 <= ALLOWED * single, "{p99} s, and {single} s alone");
    }
}
