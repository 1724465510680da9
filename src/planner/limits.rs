//! What the units of a service may use: the manifest's limits, at most the policy's. Adds no steps.
//!
//! A limit above the policy's is lowered, with a note: both say "at most", and a policy that becomes stricter must not keep a
//! service down at the next boot. Processes, timers and instances above the policy's number are refused: to leave some of
//! them out would run another service than the one that was tested.

use super::Wanted;
use crate::error::{Code, Error, Result};
use crate::observe::manifest::{Manifest, Pm2Instances, Process};
use crate::plan::Limits;

/// Those of a process or timer with limits of its own.
pub fn of(wanted: &Wanted, own: &Limits) -> Limits {
    wanted.manifest.limits.clone().under(own.clone()).within(&wanted.selection.limits.of_a_unit())
}

/// Those of the service's own unit, of its candidate and of its container.
pub fn of_service(wanted: &Wanted) -> Limits {
    of(wanted, &Limits::default())
}

/// A note for each limit of the manifest that the policy lowers.
pub fn notes(wanted: &Wanted) -> Vec<String> {
    let most = wanted.selection.limits.of_a_unit();
    let tables = tables(wanted.manifest);
    let lowered = tables.iter().flat_map(|(table, limits)| {
        let capped = (*limits).clone().within(&most).named();
        let lowered = limits.named().into_iter().filter(|named| !capped.contains(named)).collect::<Vec<_>>();
        lowered.into_iter().map(move |(key, wanted)| {
            let given = capped.iter().find(|(other, _)| *other == key).map_or("", |(_, most)| most.as_str());
            format!("{table}.{key} is {wanted}, and the policy allows {given}, which systemd enforces (limits.{key} of the policy)")
        })
    });
    lowered.collect()
}

/// All tables of limits by their keys.
fn tables(manifest: &Manifest) -> Vec<(String, &Limits)> {
    let processes =
        manifest.processes.iter().map(|(name, of)| (format!("processes.{name}.limits"), &of.limits));
    let timers = manifest.timers.iter().map(|(name, of)| (format!("timers.{name}.limits"), &of.limits));
    std::iter::once(("limits".to_owned(), &manifest.limits)).chain(processes).chain(timers).collect()
}

/// Fails if the manifest asks for more processes, timers or instances than the policy allows.
pub fn refuse(wanted: &Wanted) -> Result<()> {
    let (manifest, most) = (wanted.manifest, &wanted.selection.limits);
    let units: u16 = manifest.processes.values().map(Process::units).sum();
    within("limits.processes", most.processes, units, "processes, each instance counted")?;
    let timers = u16::try_from(manifest.timers.len()).unwrap_or(u16::MAX);
    within("limits.timers", most.timers, timers, "timers")?;
    for (name, process) in &manifest.processes {
        within(
            "limits.instances",
            most.instances,
            process.units(),
            &format!("instances of processes.{name}"),
        )?;
    }
    match manifest.pm2.as_ref().and_then(|pm2| pm2.instances) {
        Some(Pm2Instances::Count(count)) => {
            within("limits.instances", most.instances, count, "instances of PM2 (pm2.instances)")
        }
        // How many processors a machine has is known only when PM2 starts.
        Some(Pm2Instances::Max) => match most.instances {
            Some(most) => Err(refused(
                format!("pm2.instances is \"max\", which can be more than {most}"),
                "limits.instances",
                most,
            )),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

fn within(key: &str, most: Option<u16>, count: u16, what: &str) -> Result<()> {
    match most {
        Some(most) if count > most => {
            Err(refused(format!("the manifest asks for {count} {what}"), key, most))
        }
        _ => Ok(()),
    }
}

fn refused(cause: String, key: &str, most: u16) -> Error {
    let cause = format!("{cause}; the policy allows {most} ({key})");
    Error::new(Code::PolicyRefused, "planning the processes of the service", cause)
        .remedy(format!("ask for fewer in bootagent.toml, or let the machine's owner raise {key} in /etc/bootagent/policy.toml"))
}
