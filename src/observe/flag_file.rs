//! Reads files that a flag of the command line names.

use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::machine::Observe;

/// The text of the file at `path`. The error is `E-USAGE` and names `flag`.
pub async fn flag_file(machine: &impl Observe, path: &Path, flag: &str) -> Result<String> {
    let bad = |causes: Vec<String>| {
        Error::caused(Code::Usage, format!("reading {flag} {}", path.display()), causes)
            .remedy("give the path of a readable text file")
    };
    let text = machine.text(path).await.map_err(|error| bad(error.report().causes))?;
    text.ok_or_else(|| bad(vec!["there is no such file".to_owned()]))
}
