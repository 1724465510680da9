//! The command line: what is accepted, what is refused, and which flags it sets.

use super::*;
use crate::facts::CommitPrefix;

fn parsed(line: &str) -> Result<Cli, u8> {
    super::parsed(std::iter::once("bootagent").chain(line.split_whitespace()).map(OsString::from))
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn dry_run_alone_means_run() {
    for line in ["--dry-run", "--dry-run --service a", "--service a --dry-run", "run --dry-run"] {
        assert!(matches!(parsed(line), Ok(Cli { verb: Verb::Run(args) }) if args.dry_run), "{line}");
    }
}

#[test]
fn overrides_are_for_dry_runs_only() {
    for line in [
        "run --env-file x",
        "run --tag a=b",
        "run --facts x",
        "run --manifest x",
        "run --policy x",
        "--service a",
        "--dryrun",
        "run --output json",
        "nonsense",
    ] {
        assert_eq!(parsed(line).err(), Some(64), "{line}");
    }
    let Ok(Cli { verb: Verb::Run(args) }) = parsed("run --repository ./here") else { panic!("not a run") };
    assert_eq!(args.flags().unwrap_err().code(), Code::Usage);
}

#[test]
fn update_and_rollback_become_runs() {
    let Ok(Cli { verb: Verb::Update(args) }) = parsed("update --ref 0123456789ab --again --strict") else {
        panic!("not an update")
    };
    let run = args.run();
    let flags = run.flags().unwrap();
    assert!(flags.update && flags.again && run.strict && !flags.dry_run);
    assert_eq!(flags.policy.commit.as_deref(), Some("0123456789ab"));
    let Ok(Cli { verb: Verb::Rollback(args) }) = parsed("rollback 0123456 --dry-run --output json") else {
        panic!("not a rollback")
    };
    assert_eq!(args.commit.as_ref().map(CommitPrefix::as_str), Some("0123456"));
    let run = args.run(&CommitPrefix::try_from("0123456789").unwrap());
    let flags = run.flags().unwrap();
    assert!(flags.update && flags.dry_run && run.output == Output::Json);
    assert_eq!(flags.policy.commit.as_deref(), Some("0123456789"));
}

#[test]
fn invalid_commits_and_arguments_are_usage_errors() {
    let flags = ["run --update --ref main", "run --ref 012345", "update --ref HEAD", "rollback main"];
    let words =
        ["rollback 0123456 0123456", "hold because", "unhold now", "update --service a", "releases x"];
    for line in flags.into_iter().chain(words) {
        assert_eq!(parsed(line).err(), Some(64), "{line}");
    }
}

#[test]
fn each_verb_s_help_has_an_example_and_its_exit_statuses() {
    let mut command = Cli::command();
    command.build();
    let verbs = command.get_subcommands_mut().filter(|verb| !verb.is_hide_set());
    for verb in verbs.filter(|verb| !["env", "help"].contains(&verb.get_name())) {
        let help = verb.render_help().to_string();
        for word in ["Example", "Exit status", &format!("  bootagent {}", verb.get_name())] {
            assert!(help.contains(word), "{word} is not in\n{help}");
        }
    }
}

#[test]
fn times_have_units() {
    let Ok(Cli { verb: Verb::Run(args) }) = parsed("run --budget 2m --imds-wait 10") else {
        panic!("not a run")
    };
    assert_eq!((args.policy.budget, args.policy.imds_wait), (Some(Seconds(120)), Some(Seconds(10))));
    assert_eq!(parsed("run --budget soon").err(), Some(64));
}
