//! How a plan shows a volume and the first data of a database server.

use super::{file, sealed};
use crate::plan::{DATA_RECORD, InitializeData, MountVolume, PrepareVolume};

pub fn lines(data: &InitializeData) -> Vec<String> {
    let mut lines = vec![format!("as {}, hardened like the service, without any network", data.user)];
    if let Some(program) = &data.program {
        let places = program.directories.join(" or ");
        lines.push(format!("{} leads to the version of the data: {places}", program.link.display()));
    }
    lines.push(format!("| {}", sealed(&data.variables)));
    lines.push(format!("once: skipped if {} is there", data.directory.join(DATA_RECORD).display()));
    lines.extend(file(&data.script));
    lines
}

pub fn headline(data: &InitializeData) -> String {
    format!("make the first data of {} in {}", data.server, data.directory.display())
}

pub fn prepare(volume: &PrepareVolume) -> String {
    let PrepareVolume { device, filesystem, label, wait, .. } = volume;
    let kind = filesystem.name();
    format!("wait up to {wait} for {device}, and format it as {kind} with the label {label} if it is empty")
}

pub fn mount(mount: &MountVolume) -> String {
    let MountVolume { label, path, user, .. } = mount;
    format!("mount {label} at {} ({user}:{user}, 0750)", path.display())
}
