//! A machine without a bundle of CA certificates. bootagent and Node bring Mozilla's; pip, uv and docker read the machine's, and
//! would trust no server. Pure.

use super::node::NODE;
use super::recipe::{Need, Recipe, RecipeInputs};
use super::static_site::STATIC;

/// The package of Debian and of RPM distributions.
const PACKAGE: &str = "ca-certificates";

/// Lets the package be installed where one of the recipe's tools needs it. A CA file of the policy is given to these tools.
pub fn add(inputs: &RecipeInputs, recipe: &mut Recipe) {
    if !inputs.facts.no_certificates || inputs.network.ca_file.is_some() {
        return;
    }
    let reads_them = recipe.parts().any(|part| ![NODE.name, STATIC.name].contains(&part.of.name));
    if !reads_them {
        recipe.notes.push(format!(
            "the machine has no CA certificates: Node has its own, and other programs of a build, such as curl, trust no server; packages = [\"{PACKAGE}\"] in bootagent.toml installs them"
        ));
    } else if recipe.data_host().is_none() {
        let is_possible = inputs.packages.allowed && inputs.facts.machine.package_manager().is_some();
        recipe.notes.push(match is_possible {
            true => format!("the machine has no CA certificates, so the package {PACKAGE} is installed"),
            false => format!(
                "the machine has no CA certificates, and bootagent may not install {PACKAGE} here: pip, uv and docker may trust no server"
            ),
        });
        recipe.needs.extend(is_possible.then(|| Need::Packages(vec![PACKAGE.to_owned()])));
    }
}
