//! The record of the ports on which a service without a configured port was observed to listen when it was healthy. With
//! it, a reboot, a recovery, an update and `bootagent status` expect that it listens again.

use std::collections::BTreeSet;
use std::path::Path;

use super::observed::observe;
use crate::error::{Code, Error, Result};
use crate::facts::{Listened, records};
use crate::machine::disk::files;
use crate::machine::process::sockets;
use crate::machine::process::units::UnitState;
use crate::plan::layout::Layout;
use crate::plan::{Mode, Owner, PortsRecord};

/// Records on which ports other machines reach the service now. A port of this machine only may be a browser's or a
/// debugger's, which comes and goes.
pub fn write(record: &PortsRecord, state: &UnitState) -> Result<()> {
    let observed = observe(state).ports();
    let reached = sockets::all_own(&state.cgroup).into_iter().filter(|own| !own.is_loopback());
    let ports = reached.map(|own| own.address.port()).filter(|port| observed.contains(port)).collect();
    let listened = Listened { schema: records::SCHEMA, release: record.release.clone(), ports };
    let text = serde_json::to_string_pretty(&listened)
        .map_err(|error| Error::new(Code::Bug, "writing a record", error))?;
    files::write(&record.path, (text + "\n").as_bytes(), &Owner::root(), Mode(0o600))
}

/// The ports on which this release listened when it was healthy; empty if that is not known.
pub fn read(layout: &Layout, release: &Path) -> BTreeSet<u16> {
    let bytes = files::read(&layout.listened()).ok().flatten().unwrap_or_default();
    let listened = records::parse::<Listened>(&bytes).ok().filter(|listened| listened.release == release);
    listened.map(|listened| listened.ports).unwrap_or_default()
}
