//! `bootagent run`, and `update` and `rollback`, which are runs with other flags: the run itself, or a dry run.

use crate::boot;
use crate::cli::{self, Output, RunArgs};
use crate::error::{Code, Error, Result};
use crate::machine::{LocalHost, Lock, Observe};
use crate::plan::{self, Shown, Summary};
use crate::report::{Progress, Report, print};

/// A run or, with `--dry-run`, its plan.
pub async fn run_or_show(args: &RunArgs) -> u8 {
    // Boxed: these are the largest futures of the program, and nested on the stack they could overflow it.
    match args.dry_run {
        true => Box::pin(dry_run(args)).await,
        false => Box::pin(run(args)).await,
    }
}

async fn run(args: &RunArgs) -> u8 {
    match locked_run(args).await {
        Ok(Ended::Warnings) if args.strict => super::status::DEGRADED,
        Ok(Ended::Healthy | Ended::Warnings) => 0,
        Ok(Ended::FormerServes) => FORMER_SERVES,
        Err(error) => error.exit() as u8,
    }
}

/// The exit status of a run that failed while the previous deployment serves.
const FORMER_SERVES: u8 = 2;

enum Ended {
    Healthy,
    Warnings,
    FormerServes,
}

async fn locked_run(args: &RunArgs) -> Result<Ended> {
    let machine = LocalHost::new();
    // Errors before there is a `Report`, which prints all later ones.
    let printed = |error: Error| {
        super::print_error(&error);
        error
    };
    let flags = args.flags().map_err(printed)?;
    if !machine.is_root() {
        let error = Error::new(Code::NotRoot, "starting a run", "only root may change the machine");
        return Err(printed(error));
    }
    // Before the lock creates a directory: the machine may be a laptop.
    machine.refuse_other_machines().await.map_err(printed)?;
    let _lock = Lock::take().map_err(printed)?;
    super::hold::refuse(args.at_boot).map_err(printed)?;
    if flags.bake {
        super::seal::refuse_used(&machine).await.map_err(printed)?;
    }
    let report = Report::new(progress(args.quiet), crate::machine::run_id()).published();
    match Box::pin(boot::run(&machine, &flags, &report)).await {
        // At a boot without a policy there is nothing to deploy yet: the AMI was made from a machine with bootagent,
        // and user-data has not run. But if another run of this boot has failed, its status must stay.
        Err(error)
            if args.at_boot && error.code() == Code::PolicyNoRepository && !report.follows_another() =>
        {
            report.withdraw();
            Ok(Ended::Healthy)
        }
        Ok(()) if report.has_warnings() => Ok(Ended::Warnings),
        Ok(()) => Ok(Ended::Healthy),
        // An operator masked the unit: the run tried nothing, so this is not a failed update (status 2).
        Err(error) if error.code() == Code::UnitMasked => Err(error),
        Err(_) if report.former_serves() => Ok(Ended::FormerServes),
        Err(error) => Err(error),
    }
}

/// How to show progress on standard error. Not at all if that is the journal, which gets structured entries instead.
fn progress(quiet: bool) -> Progress {
    match () {
        () if cli::stderr_is_the_journal() => Progress::Silent,
        () if quiet => Progress::Quiet,
        () if cli::stderr_can_rewrite_lines() => Progress::Living,
        () => Progress::Lines,
    }
}

/// Shows what a run would do. It writes only to a scratch directory, which it deletes.
async fn dry_run(args: &RunArgs) -> u8 {
    match show(args).await {
        Ok(is_due) if args.detailed_exitcode && is_due => CHANGES,
        Ok(_) => 0,
        Err(error) => super::print_error(&error),
    }
}

/// The exit status with --detailed-exitcode if a run would change something; the same as terraform's.
const CHANGES: u8 = 2;

/// Prints the plan. Returns whether a run would change something.
async fn show(args: &RunArgs) -> Result<bool> {
    let machine = LocalHost::observer();
    let progress = match args.output {
        Output::Text => progress(args.quiet),
        Output::Json => Progress::Silent,
    };
    let report = Report::new(progress, crate::machine::run_id());
    let flags = args.flags()?;
    let prepared = report.accompany(Box::pin(boot::prepare(&machine, &flags, &report))).await?;
    match args.output {
        Output::Text => {
            let shown = Shown { previews: prepared.previews.as_deref(), all: args.verbose };
            print(&plan::text(&prepared.plan, shown))
        }
        Output::Json => {
            let text = serde_json::to_string_pretty(&prepared.plan)
                .map_err(|error| Error::new(Code::Bug, "printing the plan", error))?;
            print(&(text + "\n"))
        }
    }?;
    let previews = prepared.previews.as_deref();
    Ok(previews.is_none_or(|previews| Summary::of(&prepared.plan, previews).to_do > 0))
}
