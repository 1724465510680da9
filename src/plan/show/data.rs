//! The lines of the first data of a database server in a plan.

use super::{file, sealed};
use crate::plan::{DATA_RECORD, InitializeData};

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
