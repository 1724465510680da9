//! What the program says about itself: the arguments of `explain`, `completions` and `man`, and the scripts that complete
//! a command line. The `///` of a field is its text in the help.

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell as Completed;

use super::Cli;

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Such as E-SECRET-MISSING; without it, all codes are listed
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The script by which the shell completes bootagent's command line.
pub fn completions(shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => Completed::Bash,
        Shell::Zsh => Completed::Zsh,
        Shell::Fish => Completed::Fish,
    };
    let mut script = Vec::new();
    let whole = Cli::command();
    // Not the commands that bootagent runs as its own children.
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut command = Command::new("bootagent").version(super::VERSION).subcommands(shown);
    clap_complete::generate(shell, &mut command, "bootagent", &mut script);
    let flags = command.get_subcommands().flat_map(Command::get_arguments);
    let hidden = flags.filter(|flag| flag.is_hide_set()).filter_map(|flag| flag.get_long());
    hidden.fold(String::from_utf8_lossy(&script).into_owned(), without)
}

/// A script without a flag. clap_complete's scripts have hidden flags, too: in bash as a word among others, in zsh and
/// fish on a line of its own.
fn without(script: String, flag: &str) -> String {
    let is_other =
        |line: &&str| !line.contains(&format!("--{flag}[")) && !line.contains(&format!(" -l {flag} "));
    let lines: Vec<&str> = script.split('\n').filter(is_other).collect();
    lines.join("\n").replace(&format!(" --{flag} "), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_may_use_is_completed() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell);
            for word in ["user-data", "rollback", "services", "explain"] {
                assert!(script.contains(word), "{word} is not completed in {shell:?}");
            }
            assert!(!script.contains("__child") && !script.contains("at-boot"), "{shell:?}");
        }
    }
}
