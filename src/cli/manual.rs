//! The manual page bootagent(8), made of the same commands, flags and examples as the help. It has no date, so that the same
//! program always prints the same page.

use clap::{Arg, Command, CommandFactory};

use super::Cli;

const FILES: &[(&str, &str)] = &[
    ("/etc/bootagent/policy.toml", "What is allowed on this machine. Only root may be able to change it."),
    ("/etc/bootagent/services/SERVICE.toml", "A manifest in place of the one in the service's repository."),
    ("/run/bootagent/status.json", "The record of the last run."),
    ("/var/lib/bootagent/", "Records: the pinned commit, what was healthy, a hold."),
    ("/opt/SERVICE/releases/", "The releases of a service."),
];

/// As troff with man's macros.
pub fn manual() -> String {
    let mut command = Cli::command();
    command.build();
    let about = text(&command.get_about().map(ToString::to_string).unwrap_or_default());
    let version = command.get_version().unwrap_or_default();
    let mut page = format!(
        ".TH BOOTAGENT 8 \"\" \"bootagent {}\" \"System administration\"\n.SH NAME\nbootagent \\- {about}\n\
         .SH SYNOPSIS\n.B bootagent\n.I COMMAND\n[\\fIOPTIONS\\fR]\n\
         .SH DESCRIPTION\nbootagent reads the instance's tags, fetches the service's branch, writes its environment from Secrets\n\
         Manager, installs it, starts it as a systemd unit, waits until it is healthy, and reports the result.\n",
        text(version)
    );
    page.push_str(&preformatted(&command));
    sections(&command, &mut page);
    page.push_str(".SH FILES\n");
    for (path, what) in FILES {
        page.push_str(&format!(".TP\n.I {}\n{}\n", text(path), text(what)));
    }
    page.push_str(".SH SEE ALSO\n.BR systemctl (1),\n.BR journalctl (1),\n.BR cloud-init (1)\n");
    page
}

/// One section for each command that people may use, and for the commands below it.
fn sections(command: &Command, page: &mut String) {
    let shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    for verb in command.get_subcommands().filter(shown) {
        let name = verb.get_bin_name().unwrap_or(verb.get_name());
        let about = text(&verb.get_about().map(ToString::to_string).unwrap_or_default());
        if verb.get_subcommands().filter(shown).count() > 0 {
            sections(verb, page);
            continue;
        }
        let usage = verb.clone().render_usage().to_string();
        let usage = text(usage.trim_start_matches("Usage: ").trim());
        page.push_str(&format!(".SH {}\n{usage}\n.PP\n{about}.\n", text(&name.to_uppercase())));
        let arguments =
            verb.get_arguments().filter(|argument| !argument.is_hide_set() && argument.get_id() != "help");
        arguments.for_each(|argument| page.push_str(&described(argument)));
        page.push_str(&preformatted(verb));
    }
}

/// A flag or a value, and its help.
fn described(argument: &Arg) -> String {
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let flags: Vec<String> =
        short.into_iter().chain(long).map(|flag| format!("\\fB{}\\fR", text(&flag))).collect();
    let takes = argument.get_action().takes_values();
    let names = argument.get_value_names().filter(|_| takes).unwrap_or_default();
    let names: Vec<String> = names.iter().map(|name| format!("\\fI{}\\fR", text(name))).collect();
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let default = argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
    let default: Vec<String> = default.filter(|_| takes).collect();
    let default =
        if default.is_empty() { String::new() } else { format!(" [default: {}]", default.join(" ")) };
    let possible: Vec<String> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let possible =
        if takes && !possible.is_empty() { format!(" [{}]", possible.join(", ")) } else { String::new() };
    let head =
        [flags.join(", "), names.join(" ")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    format!(".TP\n{}\n{}\n", head.join(" "), text(&format!("{help}{possible}{default}")))
}

/// The examples and exit statuses at the end of a command's help, line by line.
fn preformatted(command: &Command) -> String {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    match after.is_empty() {
        true => String::new(),
        false => format!(".PP\n.nf\n{}\n.fi\n", text(&after)),
    }
}

/// Text as troff shows it unchanged: a line that began with a dot or a quote would be a request.
fn text(plain: &str) -> String {
    let escaped = plain.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('^', "\\(ha");
    let escaped = escaped.replace('~', "\\(ti").replace('`', "\\(ga");
    let line = |line: &str| if line.starts_with('.') { format!("\\&{line}") } else { line.to_owned() };
    escaped.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_and_flag_is_in_the_manual() {
        let page = manual();
        for words in [
            "BOOTAGENT RUN",
            "BOOTAGENT ENV CHECK",
            "\\fB\\-\\-repository\\fR \\fIURL\\fR",
            "\\fB\\-f\\fR, \\fB\\-\\-follow\\fR",
            "[default: 5m]",
        ] {
            assert!(page.contains(words), "{words} is not in\n{page}");
        }
        assert!(!page.contains("__child") && !page.contains("at\\-boot"), "{page}");
    }

    #[test]
    fn text_is_no_request() {
        assert_eq!(text(".so /etc/passwd\n'x\\n"), "\\&.so /etc/passwd\n\\(aqx\\en");
    }
}
