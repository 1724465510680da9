//! `bootagent seal`: makes this machine the source of an image.

use crate::cli::SealArgs;
use crate::error::Result;
use crate::facts::Facts;
use crate::machine::seal::{self, Trace};
use crate::machine::{LocalHost, Lock, Observe, blocking};
use crate::planner;
use crate::report::print;

pub async fn seal(args: &SealArgs) -> u8 {
    match sealed(args).await.and_then(|text| print(&text)) {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}

async fn sealed(args: &SealArgs) -> Result<String> {
    let machine = LocalHost::observer();
    super::root_only(&machine, "sealing this machine", "run as root")?;
    // A run would write again what is removed here.
    let _lock = Lock::take()?;
    let facts = refuse_used(&machine).await?;
    seal::refuse_unfinished(&facts)?;
    let allowed = args.allowed.clone();
    let has_baked = !facts.baked.is_empty();
    blocking(move || seal::refuse_secrets(&facts, &allowed)).await?;
    let traces = seal::found(args.keep_authorized_keys)?;
    if !args.dry_run {
        seal::remove(&traces).await?;
    }
    Ok(text(&traces, args.dry_run, has_baked))
}

/// Fails on a machine on which a service was started. Returns the machine's facts.
pub async fn refuse_used(machine: &impl Observe) -> Result<Facts> {
    let facts = machine.facts(&[]).await?;
    planner::refuse_used(&facts, seal::is_pinned()?)?;
    Ok(facts)
}

fn text(traces: &[Trace], is_dry: bool, has_baked: bool) -> String {
    let verb = if is_dry { "would remove" } else { "removed" };
    let mut text = String::new();
    for Trace { what, path, .. } in traces {
        text.push_str(&format!("{verb} {} ({what})\n", path.display()));
    }
    if !has_baked {
        text.push_str(
            "note: no release is in the image (bootagent bake): each instance installs its service itself\n",
        );
    }
    text.push_str(match is_dry {
        true => "nothing was changed\n",
        false => {
            "sealed: stop this machine now and make the image; after a reboot or another command on it, seal it again\n"
        }
    });
    text
}
