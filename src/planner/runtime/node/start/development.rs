//! Whether a start needs packages that are only for development: then they stay installed. Pure.

use super::project::Project;
use super::provider::{needed, unknown};
use super::reach::Reach;
use crate::secret::excerpt;

/// The first of the packages of all commands that only a development installation has.
pub fn only_for_development(reach: &Reach, project: &Project) -> Option<String> {
    reach.commands.iter().find_map(|command| {
        let place = project.place(command.directory.as_deref());
        needed(&command.line, &place).into_iter().find(|name| place.is_only_for_development(name))
    })
}

/// Why packages for development stay installed.
/// `what` needs one: the start command, or the migration.
pub fn keeps_development(what: &str, reach: &Reach, project: &Project) -> Option<String> {
    if let Some(name) = only_for_development(reach, project) {
        return Some(format!("the {what} needs {name}, which is among the devDependencies"));
    }
    let unknown = reach.commands.iter().find_map(|command| {
        let place = project.place(command.directory.as_deref());
        unknown(&command.line, &place).filter(|_| place.has_development())
    });
    if let Some(program) = unknown {
        let program = excerpt(&program);
        return Some(format!("the {what} runs {program}, and which package has that program is not known"));
    }
    let doubt = reach.doubt.as_deref().filter(|_| project.place(None).has_development())?;
    let doubt = excerpt(doubt);
    Some(format!("which programs the {what} runs is left to a shell: {doubt}"))
}
