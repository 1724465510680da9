//! What tells releases of one commit apart. Pure.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::recipe::Recipe;

impl Recipe {
    /// 12 hexadecimal digits that tell releases of one commit apart. Contains what changes the release's files, and
    /// the migration, which is done once for each release. A new patch version of Node, other flags for npm, or
    /// another start command do not change it: a release must not be rebuilt at a reboot, when git may be
    /// unreachable.
    pub fn fingerprint(&self) -> String {
        #[derive(Serialize)]
        struct Identity<'a> {
            runtime: &'a str,
            work: Vec<(&'a str, &'a str)>,
            migrate: &'a [String],
            #[serde(skip_serializing_if = "Option::is_none")]
            directory: Option<&'a str>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            first: Vec<Identity<'a>>,
            // They are given to the service when the release is built.
            #[serde(skip_serializing_if = "<[String]>::is_empty")]
            writable: &'a [String],
        }
        fn of(recipe: &Recipe) -> Identity<'_> {
            Identity {
                runtime: &recipe.runtime_line,
                work: recipe.work.iter().map(|work| (work.name.as_str(), work.line.as_str())).collect(),
                migrate: &recipe.migrate_lines,
                directory: recipe.directory.path(),
                first: recipe.first.iter().map(of).collect(),
                writable: &recipe.writable,
            }
        }
        let identity = of(self);
        let text = serde_json::to_vec(&identity).unwrap_or_default();
        Sha256::digest(&text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}
