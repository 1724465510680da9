use crate::boot;
use crate::cli::{self, Output, RunArgs};
use crate::error::{Code, Error, Result};
use crate::machine::{LocalHost, Lock, Observe};
use crate::plan::{self, Shown, Summary};
use crate::report::{Progress, Report, print};

/// A run, or what it would do.
pub async fn run_or_show(args: &RunArgs) -> u8 {
    // Boxed: the largest futures of the program, which would lie in each other on the stack.
    match args.dry_run {
        true => Box::pin(dry_run(args)).await,
        false => Box::pin(run(args)).await,
    }
}

/// Brings the service into service.
async fn run(args: &RunArgs) -> u8 {
    match locked_run(args).await {
        Ok(Ended::Warnings) if args.strict => super::status::DEGRADED,
        Ok(Ended::Healthy | Ended::Warnings) => 0,
        Ok(Ended::FormerServes) => FORMER_SERVES,
        Err(error) => error.exit() as u8,
    }
}

/// It failed, and the deployment that passed before it serves.
const FORMER_SERVES: u8 = 2;

enum Ended {
    Healthy,
    Warnings,
    FormerServes,
}

async fn locked_run(args: &RunArgs) -> Result<Ended> {
    let machine = LocalHost::new();
    // What goes wrong before there is a report is told here, once.
    let told = |error: Error| {
        super::told(&error);
        error
    };
    let flags = args.flags().map_err(told)?;
    if !machine.is_root() {
        let error = Error::new(Code::NotRoot, "starting a run", "this user may not change the machine");
        return Err(told(error));
    }
    // Before anything of ours is made on what may be a laptop.
    machine.refuse_other_machines().await.map_err(told)?;
    let _lock = Lock::take().map_err(told)?;
    super::hold::refuse(args.at_boot).map_err(told)?;
    let report = Report::new(progress(), crate::machine::run_id()).published();
    match Box::pin(boot::run(&machine, &flags, &report)).await {
        // An image made from a used machine, before its user-data ran.
        // Where a run of this boot failed, there is something to do: its record stays, and systemd tries again.
        Err(error)
            if args.at_boot && error.code() == Code::PolicyNoRepository && !report.follows_another() =>
        {
            report.withdraw();
            Ok(Ended::Healthy)
        }
        Ok(()) if report.has_warnings() => Ok(Ended::Warnings),
        Ok(()) => Ok(Ended::Healthy),
        // A mask is an operator's word, as a hold is: nothing was tried.
        Err(error) if error.code() == Code::UnitMasked => Err(error),
        Err(_) if report.former_serves() => Ok(Ended::FormerServes),
        Err(error) => Err(error),
    }
}

/// The journal gets its own entries.
fn progress() -> Progress {
    match () {
        () if cli::stderr_is_the_journal() => Progress::Silent,
        () if cli::stderr_is_a_living_terminal() => Progress::Living,
        () => Progress::Lines,
    }
}

/// Shows what a run would do. Nothing is written but private scratch, which is thrown away.
async fn dry_run(args: &RunArgs) -> u8 {
    match show(args).await {
        Ok(is_due) if args.detailed_exitcode && is_due => CHANGES,
        Ok(_) => 0,
        Err(error) => super::told(&error),
    }
}

/// With --detailed-exitcode, as terraform has it.
const CHANGES: u8 = 2;

/// Whether anything is to do.
async fn show(args: &RunArgs) -> Result<bool> {
    let machine = LocalHost::observer();
    let progress = match args.output {
        Output::Text => progress(),
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
