//! Keeps IMDS from the RUN lines of a Dockerfile, which docker runs on its default bridge: a firewall rule for that bridge,
//! for as long as a build runs. Services have a bridge of their own, and keep what the policy lets them reach.

use std::path::Path;
use std::time::Duration;

use crate::error::Result;
use crate::fault::Fault;
use crate::machine::disk::files;
use crate::machine::process::program::{self, failed};
use crate::plan::{Mode, Owner};

/// Docker's chain for rules of others, its default bridge, and IMDS.
const RULE: [&str; 7] = ["DOCKER-USER", "-i", "docker0", "-d", "169.254.169.254/32", "-j", "DROP"];

/// Exists while the rule may: a run that was killed leaves both, and the next one removes them. On tmpfs, as the rule.
const MARK: &str = "/run/bootagent/build-network";

pub fn is_closed() -> Result<bool> {
    files::exists(Path::new(MARK))
}

/// Fails if the rule cannot be set: then nothing is built.
pub async fn close() -> Result<()> {
    open().await?;
    files::write(Path::new(MARK), b"", &Owner::root(), Mode(0o600))?;
    let output = iptables("-I").await?;
    match output.ok() {
        true => Ok(()),
        false => {
            let doing = "dropping packets of a build to IMDS";
            Err(Fault::EngineFailed.is_behind(failed(Fault::EngineFailed.code(), doing, &output)))
        }
    }
}

/// Removes the rule, and those of killed runs.
pub async fn open() -> Result<()> {
    const MOST: usize = 10;
    for _ in 0..MOST {
        if !iptables("-D").await.is_ok_and(|output| output.ok()) {
            break;
        }
    }
    files::remove_file(Path::new(MARK))
}

async fn iptables(what: &str) -> Result<program::Output> {
    let line: Vec<&str> = ["iptables", "-w", what].into_iter().chain(RULE).collect();
    program::run(&line, None, Duration::from_secs(20), 16 << 10).await
}
