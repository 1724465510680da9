//! The bootagent.toml that `bootagent init` writes: what conventions chose as comments, and the lines that would make the
//! boot better.

use super::{Advice, Lint};
use crate::observe::manifest::LONGEST_COMMAND;
use crate::plan::Setting;

const HEAD: &str = "\
# bootagent.toml: how bootagent installs, builds, starts and checks this service. Every key is optional.
# bootagent validate shows what a boot would do with this file.

# What conventions choose, and why:
";

const HEALTH: &str = "
# A path that answers 2xx when the service works. Without it, a connection to the port is enough.
# health = \"/health\"
";

const ENVIRONMENT: &str = "
# Variables without which nothing is installed. They come from the secret.
# [env]
# required = [\"DATABASE_URL\"]
";

pub fn manifest(lint: &Lint) -> String {
    let mut text = HEAD.to_owned();
    let chosen =
        lint.every.plan.iter().filter(|line| !["health check", "may write"].contains(&line.name.as_str()));
    for line in table(chosen) {
        text += &format!("#   {line}\n");
    }
    for warning in lint.every.warnings.iter().filter(|warning| !ANSWERED.contains(&warning.code)) {
        text += &format!("# Unusual: {}\n", warning.text);
    }
    text += &start(lint);
    let port = |advice: &&Advice| advice.line.starts_with("port = ");
    text += &match lint.advice.iter().find(port) {
        Some(Advice { line, .. }) => {
            format!(
                "\n# Where the service listens. It gets the number as PORT, and the health check asks there.\n{line}\n"
            )
        }
        None => NO_PORT.to_owned(),
    };
    text += HEALTH;
    let is_check = |advice: &&Advice| advice.line.starts_with("health.check");
    for Advice { line, why } in lint.advice.iter().filter(|advice| !port(advice) && !is_check(advice)) {
        text += &format!("\n# {}\n{line}\n", capitalized(why));
    }
    text + ENVIRONMENT
}

/// Warnings that a line of the file answers.
const ANSWERED: &[&str] = &["no-port", "read-only", "uncommitted", "daemon"];

const NO_PORT: &str = "
# Where the service listens. It gets the number as PORT, and the health check asks there.
# port = 3000
# If it listens on no port, a process that stays alive is enough:
# health.check = \"process\"
";

/// The present start command, as a key that starts and builds the same, if the file may have it.
fn start(lint: &Lint) -> String {
    let may_stand = |line: &&String| line.len() <= LONGEST_COMMAND && !line.chars().any(char::is_control);
    let quoted = lint.start.as_ref().filter(may_stand).and_then(|line| serde_json::to_string(line).ok());
    // Advice on what is started takes its place.
    let is_advised =
        |advice: &Advice| ["start = ", "supervisor = "].iter().any(|key| advice.line.starts_with(key));
    match (lint.advice.iter().any(is_advised), quoted) {
        (false, Some(quoted)) => format!("\n# A key overrides a convention:\n# start = {quoted}\n"),
        _ => String::new(),
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}

/// Lines of a plan with their names in one column.
pub fn table<'a>(lines: impl Iterator<Item = &'a Setting> + Clone) -> Vec<String> {
    let width = lines.clone().map(|line| line.name.len()).max().unwrap_or_default();
    lines.map(|line| format!("{:width$}  {}  ({})", line.name, line.value, line.origin)).collect()
}
