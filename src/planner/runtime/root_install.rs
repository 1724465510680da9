//! Directories of one workspace, whose packages are all installed in the root: by the first that is built, once. Another
//! installation would remove what the builds so far have left among the packages. Pure.

use super::recipe::{Recipe, Work};
use crate::fault::Phase;

/// Names of commands that remove packages which only builds need.
pub fn is_removal(work: &Work) -> bool {
    ["prune-dependencies", "remove-packages"].iter().any(|name| work.name.ends_with(name))
}

/// Leaves the first installation, of everything, and the last part's removal. `parts`: in the order in which they are
/// built, the service last.
pub fn once(parts: &mut [&mut Recipe]) {
    let installing: Vec<usize> = (0..parts.len()).filter(|at| installs(parts[*at])).collect();
    let [first, others @ ..] = installing.as_slice() else { return };
    let Some(last) = others.last() else { return };
    let is_alike = |at: &usize| {
        let commands = |part: &Recipe| part.root_install.as_ref().map(|root| root.everything.argv.clone());
        commands(parts[*at]) == commands(parts[*first]) && parts[*at].path == parts[*first].path
    };
    if !others.iter().all(is_alike) {
        return;
    }
    for at in [first].into_iter().chain(others) {
        let part = &mut *parts[*at];
        let (Some(root), Some(place)) = (part.root_install.take(), place(part)) else { continue };
        let was_whole = part.work[place].argv == root.everything.argv;
        if at != last {
            remove_removals(part);
        }
        if at == first {
            let Work { name, why, .. } = part.work.remove(place);
            part.work.insert(place, Work { name, why, ..root.everything });
        } else if at != last || was_whole {
            part.work.remove(place);
        } else if let Some(prune) = root.prune {
            let name = part.work.remove(place).name;
            let name = format!("{}{}", name.strip_suffix("install").unwrap_or_default(), prune.name);
            part.directory.of_the_root.insert(name.clone());
            part.work.insert(place, Work { name, ..prune });
        }
    }
}

fn installs(part: &Recipe) -> bool {
    part.root_install.is_some() && place(part).is_some()
}

/// Where the commands have the installation in the root.
fn place(part: &Recipe) -> Option<usize> {
    part.work.iter().position(|work| work.phase == Phase::Install && part.runs_in_the_root(work))
}

fn remove_removals(part: &mut Recipe) {
    let work = std::mem::take(&mut part.work);
    part.work = work.into_iter().filter(|work| !(is_removal(work) && part.runs_in_the_root(work))).collect();
}
