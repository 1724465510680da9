//! Files that a flag names.

use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::machine::Observe;

/// The text of a file that a flag names.
pub async fn flag_file(machine: &impl Observe, path: &Path, flag: &str) -> Result<String> {
    let bad = |causes: Vec<String>| {
        Error::caused(Code::Usage, format!("reading {flag} {}", path.display()), causes)
            .remedy("give the path of a text file that can be read")
    };
    let text = machine.text(path).await.map_err(|error| bad(error.report().causes))?;
    text.ok_or_else(|| bad(vec!["there is no such file".to_owned()]))
}
