//! Tests of the supervisor PM2: start commands, names of environments, and bootagent's lockfile.

use super::repository_file::{environments, has_word};
use super::*;

fn start(words: &[&str]) -> Start {
    let argv = words.iter().map(|word| (*word).to_owned()).collect();
    Start { argv, environment: BTreeMap::new(), is_wrapped: false, notifies: false, written: None }
}

#[test]
fn a_start_command_is_split_into_flags_script_and_arguments() {
    let start = start(&["/n/bin/node", "--max-old-space-size=300", "server.js", "--port", "3000"]);
    let script = Script::of(&start, Pm2Mode::Cluster).unwrap();
    assert_eq!((script.script, script.interpreter), ("server.js", None));
    assert_eq!((script.interpreter_args.len(), script.args.len()), (1, 2));
    assert_eq!(Script::of(&start, Pm2Mode::Fork).unwrap().interpreter, Some("/n/bin/node"));
}

#[test]
fn a_command_that_is_not_a_node_script_runs_in_fork_mode_only() {
    for words in [
        &["/usr/bin/env", "next", "start"][..],
        &["/bin/sh", "-c", "exec node $X"],
        &["/n/bin/node", "-r", "dotenv/config", "server.js"],
        &["/n/bin/node", "--version"],
    ] {
        let start = start(words);
        let script = Script::of(&start, Pm2Mode::Fork).unwrap();
        assert_eq!((script.script, script.interpreter), (words[0], Some("none")), "{words:?}");
        let error = Script::of(&start, Pm2Mode::Cluster).unwrap_err();
        assert_eq!(error.code(), Code::ManifestInvalid);
        assert!(error.to_string().contains("needs a Node script"), "{error}");
    }
}

#[test]
fn a_start_command_that_runs_pm2_is_refused() {
    for words in [
        &["/usr/bin/env", "pm2-runtime", "start", "x.config.js"][..],
        &["/bin/sh", "-c", "pm2 start server.js && pm2 logs"],
        &["/n/bin/node", "node_modules/pm2/bin/pm2", "start"],
    ] {
        let error = Script::of(&start(words), Pm2Mode::Fork).unwrap_err().to_string();
        assert!(error.contains("runs PM2 itself"), "{error}");
    }
    assert!(Script::of(&start(&["/n/bin/node", "pm2-metrics.js"]), Pm2Mode::Fork).is_ok());
}

#[test]
fn several_instances_are_a_cluster_unless_the_manifest_says_otherwise() {
    let wish = |mode, instances| Pm2Wish { mode, instances, ..Pm2Wish::default() };
    assert_eq!(mode(&wish(None, None)), Pm2Mode::Fork);
    assert_eq!(mode(&wish(None, Some(Pm2Instances::Count(1)))), Pm2Mode::Fork);
    assert_eq!(mode(&wish(None, Some(Pm2Instances::Count(2)))), Pm2Mode::Cluster);
    assert_eq!(mode(&wish(None, Some(Pm2Instances::Max))), Pm2Mode::Cluster);
    assert_eq!(mode(&wish(Some(Pm2Mode::Fork), Some(Pm2Instances::Max))), Pm2Mode::Fork);
    assert_eq!(mode(&wish(Some(Pm2Mode::Cluster), None)), Pm2Mode::Cluster);
}

#[test]
fn words_are_found_as_whole_words() {
    assert!(has_word("{ cron_restart: '0 0 * * *' }", "cron_restart"));
    assert!(has_word("deploy: {", "deploy") && has_word("\"deploy\": {", "deploy"));
    assert!(!has_word("deployed_at: 1", "deploy") && !has_word("x_cron_restart", "cron_restart"));
    assert_eq!(environments("prod"), ["prod", "production"]);
    assert_eq!(environments("test"), ["test"]);
}

#[test]
fn the_lockfile_has_checksums_and_no_registry_and_needs_no_install_scripts() {
    let lock: Value = serde_json::from_str(LOCKFILE).unwrap();
    assert_eq!(lock["packages"]["node_modules/pm2"]["version"], VERSION);
    for (name, package) in lock["packages"].as_object().unwrap().iter().filter(|(name, _)| !name.is_empty()) {
        assert!(package["integrity"].as_str().is_some_and(|sum| sum.starts_with("sha512-")), "{name}");
        assert!(package.get("resolved").is_none(), "{name} is bound to one registry");
        let runs_scripts = package["hasInstallScript"] == true && package["optional"] != true;
        assert!(!runs_scripts, "{name} has install scripts, which are not run");
    }
}
