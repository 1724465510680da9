//! Runs docker's client to its end.

use std::path::Path;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::fault::words::docker::complaint;
use crate::fault::{Fault, words::Complaint};
use crate::machine::process::program::{self, Output, failed, how_it_ended};

/// In seconds, for what needs no network and no long work.
pub const SHORT: u64 = 20;
/// So many bytes of the output are kept.
const KEPT: usize = 256 << 10;

pub struct Docker<'a> {
    pub program: &'a Path,
    /// The directory of its configuration; none: root's own, which the AMI may have.
    pub config: Option<&'a Path>,
    /// A variable of the client, as `NAME=value`.
    pub variable: Option<&'a str>,
}

impl<'a> Docker<'a> {
    pub fn new(program: &'a Path) -> Self {
        Docker { program, config: None, variable: None }
    }

    /// Runs it, whatever its exit status.
    pub async fn run(&self, words: &[&str], deadline: Duration) -> Result<Output> {
        let program = self.program.display().to_string();
        let config = self.config.map(|config| config.display().to_string());
        let mut argv = Vec::new();
        if let Some(variable) = self.variable {
            argv.extend(["env", variable]);
        }
        argv.push(&program);
        if let Some(config) = &config {
            argv.extend(["--config", config]);
        }
        argv.extend(words);
        program::run(&argv, None, deadline, KEPT).await
    }

    /// Standard output of a short command; `None` if it fails, as for an image that is not there.
    pub async fn asked(&self, words: &[&str]) -> Option<String> {
        let output = self.run(words, Duration::from_secs(SHORT)).await.ok()?;
        output.ok().then(|| output.text())
    }

    /// A short command that must succeed.
    pub async fn must(&self, words: &[&str]) -> Result<()> {
        let doing = || format!("running docker {}", words.join(" "));
        let output = self.run(words, Duration::from_secs(SHORT)).await?;
        if output.ok() {
            return Ok(());
        }
        match complaint(&output.lines()) {
            Some(Complaint { fault, cause, .. }) => {
                Err(fault.error(doing(), cause).saying(output.both_ends()))
            }
            None => Err(failed(Code::Io, doing(), &output)),
        }
    }
}

/// The error of a pull or a build that failed. `otherwise`: the fault of what is not known more exactly.
pub fn explained(doing: String, output: &Output, otherwise: Fault) -> Error {
    let lines = output.lines();
    let (fault, cause) = match (complaint(&lines), lines.last()) {
        (Some(Complaint { fault, cause, .. }), _) => (fault, cause),
        (None, Some(last)) => (otherwise, last.trimmed().into()),
        (None, None) => (otherwise, how_it_ended(output).into()),
    };
    fault.error(doing, cause).saying(output.both_ends())
}
