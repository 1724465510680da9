//! A package manager's program: installed once per machine, in the version that is asked for, by npm, from the registry.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::rows::{BUN, YARN_BERRY};
use super::select::Selected;
use crate::npm::PUBLIC;
use crate::plan::{FileHash, InstallTool, layout};
use crate::planner::digest::digest;
use crate::planner::network;
use crate::planner::runtime::node::version::Node;
use crate::planner::runtime::node::{environment, installer};
use crate::planner::runtime::recipe::RecipeInputs;

/// SHA-512 of the archives of the versions that are taken by default, as the registry publishes them.
const PINNED: &[(&str, &str, &str)] = &[
    (
        "yarn",
        "1.22.22",
        "prL3kGtyG7o9Z9Sv8IPfBNrWTDmXB4Qbes8A9rEzt6wkJV8mUvoirjU0Mp3GGAU06Y0XQyA3/2/RQFVuK7MTfg==",
    ),
    (
        "@yarnpkg/cli-dist",
        "4.18.1",
        "EH+A4TxAtBWXKE0DGQxW9Bo9crXHLJ73mfxjTQJuv8XonNWWTpei8BQ5JjczHJNU9GROTycwMFn8iOvRIZXUcA==",
    ),
    (
        "@yarnpkg/cli-dist",
        "2.4.2",
        "M82xg3uZnE836u68o/DpLtSQjxHUoYkuK82v4psznrFjZO3msYD6qb/wAhGD9KdkO/puwfnDhOc9imA3NDrp9g==",
    ),
    (
        "@yarnpkg/cli-dist",
        "3.1.1",
        "7R8UUelyaGkpiSEgDgeK4A8jEUNmKw+un4UCY0xQoFXBJgVWS6lyWWN57FSs+3ybHZuNrEzaEa9+Bb5hiktGug==",
    ),
    (
        "@yarnpkg/cli-dist",
        "3.8.7",
        "YMoAlLR9f+kxXjK72ggBIidi3ulQQrQpMSxzrLUt0OUk9Xdst2v26LBSYFlzOm+7KRNWgYIJpFjA8uRnCgB5xQ==",
    ),
    (
        "@yarnpkg/cli-dist",
        "4.12.0",
        "r0AVfpKUXIbgajKFY0wWMZLwZou+CJmtqt+Y5LTimbPaA78srI0SnLJIS4ikPE1mv8YTPQ7mqRUdoDB7W+kDDA==",
    ),
    (
        "@yarnpkg/cli-dist",
        "4.14.1",
        "62uYRCYBnAwNZ1Y4uMh0iUXtgZe4frwAgd5dJFoTu/uWMWZpJxzY2ib0cAva1eiy1L2jiDR0dS1Os+1osiIxvA==",
    ),
    (
        "pnpm",
        "7.33.7",
        "ev4kEGQrOcaY30baTOXHIxpczjYGmNafjPj0IlfUCz5D8jEFOwe43oSf1P+/SnH/V7g1E3d3o1I4jz09p0cgDg==",
    ),
    (
        "pnpm",
        "8.15.9",
        "SZQ0ydj90aJ5Tr9FUrOyXApjOrzuW7Fee13pDzL0e1E6ypjNXP0AHDHw20VLw4BO3M1XhQHkyik6aBYWa72fgQ==",
    ),
    (
        "pnpm",
        "9.15.9",
        "aARhQYk8ZvrQHAeSMRKOmvuJ74fiaR1p5NQO7iKJiClf1GghgbrlW1hBjDolO95lpQXsfF+UA+zlzDzTfc8lMQ==",
    ),
    (
        "pnpm",
        "10.34.8",
        "9ieo6XE0Ov5J39D2PQKCNCAd+oMdXLWIcz4eX42ya/FpiaMhYatcG02zsf28NzFgYGtbieAC323RmoWt+R/FqA==",
    ),
    (
        "pnpm",
        "11.28.11",
        "dAGE0Q+B9dWxZb6IVg7numJAbEE0iWq8J6WAEJ7sL0fB5B2RJRyUTCyrq8scIkYXmeu3LeLsYlryAwsONsc1ow==",
    ),
    (
        "@oven/bun-linux-x64",
        "1.4.5",
        "IWX9BELoGHAUtMonkeSaNaZwXzRk+oDw6Mk+HBFXd3KHYIBNBsIGRupMZPcgNoDbJpLu6gAJjIoIVPZtt1aJ1g==",
    ),
    (
        "@oven/bun-linux-aarch64",
        "1.4.5",
        "4BXmsSKnjOrlGWqZV4x/oWa7AVoR+B6lCXddMzOAXBIm3t50eslg9wb66gmtW1AamEQ1l1CDvmmruysEhqOWMg==",
    ),
];

/// The tool, and the directory of its programs. None if the npm that comes with Node is used.
pub fn tool(selected: &Selected, node: &Node, inputs: &RecipeInputs) -> Option<(InstallTool, String)> {
    let manager = selected.manager;
    let package = match manager.package {
        Some(package) if package == "@oven/bun-linux-x64" && inputs.facts.machine.arch == "aarch64" => {
            "@oven/bun-linux-aarch64"
        }
        Some(package) => package,
        None if selected.is_exact => "npm",
        None => return None,
    };
    let files = files(package, selected, inputs);
    let file_hash = file_hash(package, selected);
    let of_a_file = file_hash.iter().map(|hash| hash.hex.as_str());
    let version = format!(
        "v{}-{}",
        selected.version,
        digest(files.values().map(String::as_str).chain(of_a_file).chain([environment::SHARED_CACHE]))
    );
    let path = layout::runtime(manager.name, &version);
    let is_locked = files.contains_key("package-lock.json");
    let verb = if is_locked { "ci" } else { "install" };
    // Since pnpm 12 a script of the package puts the native program into its place.
    let scripts =
        if is_native(package, &selected.version) { "--foreground-scripts" } else { "--ignore-scripts" };
    let flags = [scripts, "--omit=dev", "--no-audit", "--no-fund"];
    let mut variables = environment::shared_tools(inputs.layout);
    variables
        .extend(network::environment(inputs.network, environment::network(inputs.network, inputs.mirrors)));
    variables.insert("PATH".to_owned(), format!("{}:/usr/local/bin:/usr/bin:/bin", node.bin.display()));
    let npm = node.bin.join("npm").display().to_string();
    let tool = InstallTool {
        name: manager.name.to_owned(),
        version: selected.version.clone(),
        files,
        argv: [npm.as_str(), verb].into_iter().chain(flags).map(str::to_owned).collect(),
        own_installer: (is_locked && installer::of_tools(inputs)).then(|| node.version.clone()),
        user: inputs.layout.build_user(),
        environment: variables,
        path: path.clone(),
        unit: inputs.layout.transient(manager.name),
        file_hash,
    };
    let programs = manager.programs.replace("@oven/bun-linux-x64", package);
    let programs = if package == "npm" { "node_modules/.bin".to_owned() } else { programs };
    Some((tool, path.join(programs).display().to_string()))
}

/// package.json and, if the archive's hash is known, the lockfile that pins it. Otherwise npm checks the archive against
/// what the registry publishes for this version, as corepack does.
fn files(package: &str, selected: &Selected, inputs: &RecipeInputs) -> BTreeMap<String, String> {
    let dependencies = json!({ package: selected.version });
    let root = json!({ "name": "tool", "private": true, "dependencies": dependencies });
    let mut files = BTreeMap::from([("package.json".to_owned(), root.to_string())]);
    let integrity = integrity(package, selected);
    // Where the program's own hash is verified: without a lockfile, the registry would say which file the program is, and what
    // else is installed.
    if integrity.is_some() || file_hash(package, selected).is_some() {
        let mut entry = json!({ "version": selected.version });
        if let (Some(integrity), Some(entry)) = (&integrity, entry.as_object_mut()) {
            entry.insert("integrity".to_owned(), json!(integrity));
            if !integrity.starts_with("sha512-") {
                entry.insert("resolved".to_owned(), json!(address(package, &selected.version, inputs)));
            }
        }
        if package != BUN.package.unwrap_or_default()
            && let Some(entry) = entry.as_object_mut()
        {
            entry.insert("bin".to_owned(), Value::Object(programs(selected)));
        }
        let packages = json!({
            "": { "name": "tool", "dependencies": dependencies },
            (format!("node_modules/{package}")): entry,
        });
        let lockfile =
            json!({ "name": "tool", "lockfileVersion": 3, "requires": true, "packages": packages });
        files.insert("package-lock.json".to_owned(), lockfile.to_string());
    }
    files
}

/// The programs that npm links, as the package's own package.json names them.
fn programs(selected: &Selected) -> Map<String, Value> {
    let manager = selected.manager;
    let file = match (manager.name, selected.version.split('.').next()) {
        ("yarn", _) => "bin/yarn.js",
        ("npm", _) => "bin/npm-cli.js",
        ("pnpm", Some("11" | "12")) => "bin/pnpm.mjs",
        _ => "bin/pnpm.cjs",
    };
    Map::from_iter([(manager.program.to_owned(), json!(file))])
}

fn is_native(package: &str, version: &str) -> bool {
    let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    package == "pnpm" && major >= 12
}

/// As a lockfile has it. A native program comes in packages of its own, which a hash of the named package does not pin.
fn integrity(package: &str, selected: &Selected) -> Option<String> {
    let pinned = PINNED.iter().find(|(name, version, _)| *name == package && *version == selected.version);
    let pinned = pinned.map(|(_, _, hash)| format!("sha512-{hash}"));
    let is_native = is_native(package, &selected.version) || selected.manager.name == BUN.name;
    let named = selected.hash.as_ref().filter(|_| !is_native);
    pinned.or_else(|| Some(named.filter(|_| !is_of_the_program(package))?.integrity()))
}

/// Whether `packageManager` has the hash of the program, and not of the archive that the registry has.
fn is_of_the_program(package: &str) -> bool {
    Some(package) == YARN_BERRY.package
}

fn file_hash(package: &str, selected: &Selected) -> Option<FileHash> {
    let hash = selected.hash.as_ref().filter(|_| is_of_the_program(package))?;
    Some(FileHash {
        file: format!("node_modules/{package}/bin/yarn.js"),
        algorithm: hash.algorithm,
        hex: hash.hex(),
        by: selected.origin.clone(),
    })
}

/// Where the registry has the archive. Only with an address npm verifies another algorithm than the registry's own.
fn address(package: &str, version: &str, inputs: &RecipeInputs) -> String {
    // npm puts its own registry into the place of the public one.
    let public = format!("https://{PUBLIC}");
    let registry = inputs.mirrors.get("npm").map_or(public.as_str(), |mirror| mirror.as_str());
    let name = package.rsplit('/').next().unwrap_or(package);
    format!("{registry}/{package}/-/{name}-{version}.tgz")
}
