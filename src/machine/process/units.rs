//! systemd's units: their state, and the jobs that restart, reload and stop them. systemd itself is asked, and `systemctl` where that
//! fails, as for every user but root. A service's unit is started in `service/start.rs`.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::time::{sleep, timeout};

use super::bus;
pub use super::bus::job::Job;
use super::program::{self, how_it_ended, tool};
pub use super::unit_state::UnitState;
use super::unit_state::{PROPERTIES, parse};
use crate::error::{Code, Error, Result};
use crate::secret::ForeignText;

/// Of what systemctl prints, in bytes.
const KEPT: usize = 64 << 10;

pub fn is_running_the_machine() -> bool {
    std::path::Path::new("/run/systemd/system").is_dir()
}

/// The unit's state now. Without systemd as PID 1, as in a container, every unit is inactive.
pub async fn state(unit: &str) -> Result<UnitState> {
    if !is_running_the_machine() {
        return Ok(UnitState {
            load: "no systemd".into(),
            active: "inactive".into(),
            ..UnitState::default()
        });
    }
    if let Ok(all) = bus::properties(&[unit.to_owned()], PROPERTIES).await
        && let [properties] = all.as_slice()
    {
        return Ok(UnitState::of(properties));
    }
    Ok(parse(&shown(&[unit]).await?))
}

async fn shown(units: &[&str]) -> Result<String> {
    let properties = format!("--property={}", PROPERTIES.join(","));
    let line = [&["systemctl", "show", "--timestamp=unix", properties.as_str(), "--"], units].concat();
    Ok(tool(&line, 20).await?.text())
}

/// The states of several units, in their order. From one call, if systemctl must be asked: it costs ten milliseconds of a processor.
pub async fn states(units: &[String]) -> Result<Vec<UnitState>> {
    match units {
        [] => return Ok(Vec::new()),
        [one] => return Ok(vec![state(one).await?]),
        _ if !is_running_the_machine() => return try_join_all(units.iter().map(|unit| state(unit))).await,
        _ => {}
    }
    if let Ok(all) = bus::properties(units, PROPERTIES).await {
        return Ok(all.iter().map(UnitState::of).collect());
    }
    let names: Vec<&str> = units.iter().map(String::as_str).collect();
    // systemd separates them by an empty line.
    let states: Vec<UnitState> = shown(&names).await?.split("\n\n").map(parse).collect();
    match states.len() == units.len() {
        true => Ok(states),
        false => try_join_all(units.iter().map(|unit| state(unit))).await,
    }
}

/// The unit's state after `ExecStartPre=`, for which this waits up to a second: the proof that IMDS does not answer
/// takes a quarter of a second, and a service that is just starting must not look unhealthy.
pub async fn settled(unit: &str) -> Result<UnitState> {
    const READS: u32 = 10;
    let mut state = state(unit).await?;
    for _ in 1..READS {
        if state.sub != "start-pre" {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        state = self::state(unit).await?;
    }
    Ok(state)
}

/// When the main process of a unit was started, in microseconds since 1970. Read through D-Bus in any case: `systemctl show` prints
/// whole seconds, and older versions have no option for more.
pub async fn started(unit: &str) -> Result<Option<u64>> {
    const MOMENT: &str = "ExecMainStartTimestamp";
    if !is_running_the_machine() {
        return Ok(None);
    }
    let asked = bus::properties(&[unit.to_owned()], &[MOMENT]).await.ok();
    let told = asked.and_then(|all| Some(all.first()?.get(MOMENT)?.number()));
    let moment = match told {
        Some(number) => u64::try_from(number).ok(),
        None => {
            let path = format!("/org/freedesktop/systemd1/unit/{}", bus::escaped(unit));
            let service = "org.freedesktop.systemd1.Service";
            let line = ["busctl", "get-property", "org.freedesktop.systemd1", &path, service, MOMENT];
            let output = tool(&line, 20).await?.text();
            output.trim().strip_prefix("t ").and_then(|number| number.parse().ok())
        }
    };
    Ok(moment.filter(|moment| *moment > 0))
}

pub async fn daemon_reload() -> Result<()> {
    const TIME: u64 = 60;
    match bus::job::reload_units(Duration::from_secs(TIME)).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            Err(late("read its units anew", Duration::from_secs(TIME)))
        }
        Err(_) => tool(&["systemctl", "daemon-reload"], TIME).await.map(drop),
    }
}

/// Clears the failed state of a unit, so that its name can be used again. No effect on a unit that runs.
pub async fn forget_failed(unit: &str) {
    if bus::job::forget_failed(unit).await.is_err() {
        let _ = tool(&["systemctl", "reset-failed", "--", unit], 20).await;
    }
}

/// How a job of a unit ended.
pub struct Ended {
    pub is_done: bool,
    /// For an error's cause.
    pub how: String,
    /// What systemctl printed, if it was asked.
    pub said: Vec<ForeignText>,
}

/// Restarts, reloads or stops a unit, and waits for the end of that.
pub async fn run(job: Job, unit: &str, time: Duration) -> Result<Ended> {
    let began = Instant::now();
    let error = match bus::job::run(job, unit, time).await {
        Ok(result) => {
            return Ok(Ended {
                // Skipped: there was nothing to do, for which systemctl exits with 0, too.
                is_done: matches!(result.as_str(), "done" | "skipped"),
                how: format!("systemd's job to {} it ended with the result {result}", job.name()),
                said: Vec::new(),
            });
        }
        Err(error) => error.kind(),
    };
    let left = time.saturating_sub(began.elapsed());
    match error {
        ErrorKind::TimedOut => Err(late(&format!("{} {unit}", job.name()), time)),
        ErrorKind::ConnectionAborted => afterwards(job, unit, left).await,
        _ => {
            let output = program::run(&["systemctl", job.name(), "--", unit], None, left, KEPT).await?;
            Ok(Ended { is_done: output.ok(), how: how_it_ended(&output), said: output.both_ends() })
        }
    }
}

/// What became of a job whose connection was lost: systemd goes on with its jobs when it has executed itself anew. Asked again, it
/// would restart the service twice.
async fn afterwards(job: Job, unit: &str, left: Duration) -> Result<Ended> {
    const PAUSE: Duration = Duration::from_millis(100);
    let waiting = async {
        loop {
            if let Ok(Some(state)) = bus::job::settled(unit).await {
                return state;
            }
            sleep(PAUSE).await;
        }
    };
    let what = format!("{} {unit}", job.name());
    let state = timeout(left, waiting).await.map_err(|_| late(&what, left))?;
    Ok(Ended {
        is_done: (state == "active") == (job != Job::Stop),
        how: format!("systemd executed itself anew meanwhile, and the unit is {state}"),
        said: Vec::new(),
    })
}

fn late(what: &str, time: Duration) -> Error {
    let cause = format!("not done after {} s", time.as_secs());
    Error::new(Code::Deadline, format!("waiting for systemd to {what}"), cause)
}

/// Stops a unit and clears its failed state. Succeeds if there is no such unit.
pub async fn stop(unit: &str) -> Result<()> {
    let failed = match run(Job::Stop, unit, Duration::from_secs(100)).await {
        Ok(ended) if ended.is_done => None,
        Ok(ended) => Some(Error::new(Code::Io, format!("stopping {unit}"), ended.how).saying(ended.said)),
        Err(error) => Some(error),
    };
    match failed {
        Some(error) if !is_gone(unit).await? => Err(error),
        _ => {
            forget_failed(unit).await;
            Ok(())
        }
    }
}

/// Stops a unit of this name that a killed run may have left running.
pub async fn clear(unit: &str) -> Result<()> {
    match !is_running_the_machine() || is_gone(unit).await? {
        true => Ok(()),
        false => stop(unit).await,
    }
}

async fn is_gone(unit: &str) -> Result<bool> {
    let state = state(unit).await?;
    Ok(state.load == "not-found" && state.active == "inactive")
}

/// The loaded units whose names match one of the patterns (globs, as in systemctl(1)).
pub async fn listed(patterns: &[String]) -> Result<Vec<String>> {
    if !is_running_the_machine() {
        return Ok(Vec::new());
    }
    if let Ok(names) = bus::names(patterns).await {
        return Ok(names);
    }
    let mut line = vec!["systemctl", "list-units", "--all", "--plain", "--no-legend", "--"];
    line.extend(patterns.iter().map(String::as_str));
    let output = tool(&line, 20).await?;
    Ok(output.text().lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// The cause if the service's `ExecStartPre=` could reach IMDS.
pub const IMDS_ANSWERS_SERVICE: &str = "the service could reach IMDS, which the policy forbids";
