//! Who carries out `npm ci`: bootagent's own installer, which starts npm for what only npm is certain of, or npm alone.

use super::manager::Selected;
use crate::observe::manifest::{Key, Takes};
use crate::plan::Setting;
use crate::planner::runtime::recipe::RecipeInputs;

pub const KEY: Key = Key {
    name: "installer",
    expected: "\"npm\" or \"bootagent\"",
    takes: Takes::Text(|text| text == NPM || text == OWN),
};

/// The installer of bootagent, which makes what `npm ci` makes of a lockfile.
const OWN: &str = "bootagent";
const NPM: &str = "npm";
const BY_MANIFEST: &str = "node.installer in bootagent.toml";

/// The answer, with the plan's setting if there is an `npm ci` to carry out.
pub struct Installer {
    pub is_own: bool,
    pub setting: Option<Setting>,
}

/// `names_npm`: the commit names a version of npm. Adds a note if bootagent cannot install although the manifest asks for it.
pub fn chosen(
    inputs: &RecipeInputs,
    selected: &Selected,
    names_npm: bool,
    notes: &mut Vec<String>,
) -> Installer {
    let said = inputs.manifest.said("node", KEY.name);
    // Why bootagent does not install; and where that was decided, if there is an `npm ci` nevertheless.
    let (obstacle, origin) = match selected.manager.name {
        _ if inputs.manifest.install.is_some() => ("the manifest has commands that install", None),
        NPM if selected.lockfile.is_none() => ("there is no lockfile", None),
        NPM if inputs.npm_installs => ("the policy says so", Some("node.installer in the policy")),
        NPM if said == Some(NPM) => ("", Some(BY_MANIFEST)),
        NPM if names_npm => ("the commit names a version of npm", Some(selected.origin.as_str())),
        NPM => {
            let value = "bootagent, and npm for what only npm is certain of";
            let origin = said.map_or("default", |_| BY_MANIFEST);
            return Installer { is_own: true, setting: Some(setting(value, origin)) };
        }
        _ => ("the lockfile is not npm's", None),
    };
    if said == Some(OWN) {
        notes.push(format!("{} installs and not bootagent: {obstacle}", selected.manager.name));
    }
    Installer { is_own: false, setting: origin.map(|origin| setting(NPM, origin)) }
}

/// Whether bootagent's own installer carries out the `npm ci` of a tool's lockfile, as of PM2.
pub fn of_tools(inputs: &RecipeInputs) -> bool {
    !inputs.npm_installs && inputs.manifest.said("node", KEY.name) != Some(NPM)
}

fn setting(value: &str, origin: &str) -> Setting {
    Setting { name: KEY.name.to_owned(), value: value.to_owned(), origin: origin.to_owned() }
}
