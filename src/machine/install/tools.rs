//! Installs tools such as PM2 once per machine, from lockfiles that bootagent contains. A service's build user installs
//! into a directory that no other user reaches; root adopts it, flushes it to disk, and only then gives it its name.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{SHA224, SHA256, SHA384, SHA512, digest};
use data_encoding::HEXLOWER;

use super::{diagnose, runtimes};
use crate::error::Result;
use crate::fault::{Fault, Phase};
use crate::machine::disk::files;
use crate::machine::jail::unit::{TransientUnit, User};
use crate::machine::jail::wrapper;
use crate::machine::npm_tree;
use crate::machine::process::{journal, units};
use crate::machine::{Check, blocking, now};
use crate::plan::{FileHash, InstallTool, Mode, Owner, Sha2, layout};

/// Where the directory of the installation is mounted for it.
const MOUNT: &str = "/mnt/tool";
/// Longer than the step's time limit: it ends the unit if the agent was killed.
const DEADLINE: Duration = Duration::from_secs(Phase::Install.seconds().0 + 60);

pub fn check(tool: &InstallTool) -> Result<Check> {
    Ok(match files::exists(&tool.path)? {
        true => Check::AlreadySo,
        false => Check::WouldChange("absent".into()),
    })
}

pub async fn install(tool: &InstallTool) -> Result<()> {
    units::clear(&tool.unit).await?;
    let prepared = tool.clone();
    blocking(move || prepare(&prepared)).await?;
    run(tool).await?;
    let done = tool.clone();
    blocking(move || {
        if let Some(hash) = &done.file_hash {
            verify(&done, hash)?;
        }
        runtimes::finish(&done.name, &done.path)
    })
    .await
}

/// The unit has ended, and no other user reaches the tree: the file stays what is read here.
fn verify(tool: &InstallTool, hash: &FileHash) -> Result<()> {
    let doing = || format!("verifying {} of {} {}", hash.file, tool.name, tool.version);
    let Some(text) = files::read(&runtimes::unfinished_tree().join(&hash.file))? else {
        return Err(Fault::PackageAltered.error(doing(), "the installation left no such file"));
    };
    let algorithm = match hash.algorithm {
        Sha2::Sha224 => &SHA224,
        Sha2::Sha256 => &SHA256,
        Sha2::Sha384 => &SHA384,
        Sha2::Sha512 => &SHA512,
    };
    let found = HEXLOWER.encode(digest(algorithm, &text).as_ref());
    if found == hash.hex {
        return Ok(());
    }
    let cause = format!("its {} is {found}, and {} says {}", hash.algorithm.name(), hash.by, hash.hex);
    Err(Fault::PackageAltered.error(doing(), cause))
}

fn prepare(tool: &InstallTool) -> Result<()> {
    let owner = Owner::new(&tool.user, &tool.user);
    files::remove_tree(Path::new(layout::UNFINISHED_RUNTIME))?;
    files::directory(Path::new(layout::UNFINISHED_RUNTIME), &Owner::root(), Mode(0o700))?;
    files::directory(&runtimes::unfinished_tree(), &owner, Mode(0o700))?;
    for (name, text) in &tool.files {
        files::write(&runtimes::unfinished_tree().join(name), text.as_bytes(), &owner, Mode(0o644))?;
    }
    Ok(())
}

async fn run(tool: &InstallTool) -> Result<()> {
    let user = User::Named { user: tool.user.clone(), group: tool.user.clone() };
    let transient = TransientUnit::new(&tool.unit, user, DEADLINE)
        .property("TemporaryFileSystem=/mnt:ro")
        .property(format!("BindPaths={}:{MOUNT}", runtimes::unfinished_tree().display()))
        .writable(Path::new(MOUNT))
        .hidden(Path::new(layout::RUN))
        .directory(Path::new(MOUNT))
        .environment(&tool.environment);
    let argv = match &tool.own_installer {
        Some(node) => npm_tree::command_line(node, &tool.argv)?,
        None => wrapper::command_line(&tool.argv, false)?,
    };
    let began = now();
    let output = transient.run(&argv, None, 256 << 10).await?;
    let unit_ended = match output.ok() {
        true => String::new(),
        false => journal::systemd_messages(&tool.unit, began).await,
    };
    let ran = diagnose::Ran {
        line: tool.argv.join(" "),
        user: &tool.user,
        writable: std::slice::from_ref(&tool.path),
        fault: Fault::InstallFailed,
    };
    diagnose::judge(&ran, &output, &unit_ended)
}
