//! Files that a flag names.

use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::machine::Observe;

/// The text of a file that a flag names.
pub async fn given(machine: &impl Observe, path: &Path, flag: &str) -> Result<String> {
    machine.text(path).await?.ok_or_else(|| {
        Error::new(Code::Usage, format!("reading {flag} {}", path.display()), "there is no such file")
            .remedy("give the path of a file")
    })
}
