//! Errors as Python prints them: below a traceback, and pydantic's list of the settings that it did not get. Pure.

use super::line::Rank;

/// Longer tracebacks are not followed.
const LONGEST: usize = 400;

/// The line below a traceback names its exception, also one that is not called an error, as `ImproperlyConfigured`.
pub fn rank_exceptions(lines: &[&str], ranks: &mut [Rank]) {
    for (at, line) in lines.iter().enumerate() {
        let Some(before) = line.strip_suffix("Traceback (most recent call last):") else { continue };
        let margin = if before.trim().is_empty() { before.len() } else { 0 };
        let rest = lines.iter().enumerate().skip(at + 1).take(LONGEST);
        let mut below = rest.skip_while(|(_, line)| indentation(line) > margin);
        let Some((below, rank)) = below.next().and_then(|(at, line)| Some((at, rank_of(line.trim())?)))
        else {
            continue;
        };
        if let Some(known) = ranks.get_mut(below) {
            *known = rank.max(if *known == Rank::NamesAnError { Rank::Noise } else { *known });
        }
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// `module.Name: message`, or the name alone.
fn rank_of(line: &str) -> Option<Rank> {
    /// These say only that another process, or part of this one, ended.
    const FOLLOW: [&str; 4] = ["HaltServer", "SystemExit", "KeyboardInterrupt", "CancelledError"];
    let name = line.split(':').next()?;
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let last = name.rsplit('.').next()?;
    let is_exception = name.split('.').all(is_part) && last.starts_with(|c: char| c.is_ascii_uppercase());
    let rank = if FOLLOW.contains(&last) { Rank::WrapsAnError } else { Rank::NamesAnError };
    is_exception.then_some(rank)
}

/// A list of pydantic's: `2 validation errors for Settings`, each field in a line, and what is wrong with it in the next.
pub struct Fields<'a> {
    headline: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    /// How many lines it has.
    pub lines: usize,
}

impl<'a> Fields<'a> {
    /// The list that begins with the first of these lines.
    pub fn read(lines: &[&'a str]) -> Option<Fields<'a>> {
        let (first, rest) = lines.split_first()?;
        let headline = first.trim();
        let is_one =
            headline.contains("validation error for ") || headline.contains("validation errors for ");
        if !is_one {
            return None;
        }
        let mut fields = Vec::new();
        let mut read = 1;
        let mut rest = rest.iter().copied().take(LONGEST).peekable();
        while let Some(name) = rest.next_if(|line| indentation(line) == 0 && !line.contains([' ', ':'])) {
            let Some(what) = rest.next_if(|line| indentation(line) > 0) else { break };
            fields.push((name, what.trim()));
            read += 2;
            while rest.next_if(|line| indentation(line) > 0).is_some() {
                read += 1;
            }
        }
        (!fields.is_empty()).then_some(Fields { headline, fields, lines: read })
    }

    /// The list as one line, without the values that pydantic shows. A setting that is missing has its variable's name.
    pub fn text(&self) -> String {
        let field = |(name, what): &(&str, &str)| {
            let name = match what.contains("type=missing") {
                true => name.to_ascii_uppercase(),
                false => (*name).to_owned(),
            };
            format!("{name} ({})", what.split(" [type=").next().unwrap_or_default())
        };
        let fields: Vec<String> = self.fields.iter().map(field).collect();
        format!("{}: {}", self.headline, fields.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{of_service, text};

    #[track_caller]
    fn service(output: &str, reason: Option<&str>) {
        let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
        let found = of_service(&lines).map(|found| text(&lines, found));
        assert_eq!(found.as_deref(), reason, "{output}");
    }

    const TRACEBACK: &str =
        "Traceback (most recent call last):\n  File \"/opt/x/manage.py\", line 9, in <module>\n    main()\n";

    #[test]
    fn the_line_below_a_traceback_is_the_reason() {
        for error in [
            "django.core.exceptions.ImproperlyConfigured: Set the SECRET_KEY environment variable",
            "telegram.error.InvalidToken: You must pass the token",
            "KeyError: 'SECRET_KEY'",
            "discord.errors.LoginFailure",
        ] {
            service(&format!("{TRACEBACK}{error}\nINFO: shut down"), Some(error));
            service(
                &format!("ERROR:    {TRACEBACK}{error}\nERROR:    Application startup failed."),
                Some(error),
            );
        }
        let twice = format!(
            "{TRACEBACK}KeyError: 'A'\nDuring handling of the above exception, another exception occurred:\n{TRACEBACK}\
             app.Broken: no A"
        );
        service(&twice, Some("app.Broken: no A"));
    }

    #[test]
    fn gunicorn_s_last_words_are_not_the_reason() {
        let worker = "ModuleNotFoundError: No module named 'psycopg2'";
        let output = format!(
            "[INFO] Booting worker\n{TRACEBACK}{worker}\n[1] [ERROR] Worker (pid:3) exited with code 3\n{TRACEBACK}\
             gunicorn.errors.HaltServer: <HaltServer 'Worker failed to boot.' 3>"
        );
        service(&output, Some(worker));
    }

    #[test]
    fn other_lines_below_a_traceback_are_not() {
        for line in ["carol@example.com: signed in", "user carol", "1.2: x", ".Name: x", "lower.case: x"] {
            service(&format!("{TRACEBACK}{line}"), None);
        }
        service("Traceback (most recent call last):", None);
        service("the Traceback (most recent call last): of before\nName: x", None);
    }

    #[test]
    fn settings_that_are_missing_have_their_variables_and_no_value() {
        let list = format!(
            "{TRACEBACK}pydantic_core._pydantic_core.ValidationError: 3 validation errors for Settings\n\
             database_url\n  Field required [type=missing, input_value={{'token': 'pq7'}}, input_type=dict]\n    \
             For further information visit https://errors.pydantic.dev/2.12/v/missing\n\
             mail.host\n  Field required [type=missing, input_value={{}}, input_type=dict]\n\
             workers\n  Input should be a valid integer [type=int_parsing, input_value='pq7', input_type=str]\n\
             [INFO] Shutting down"
        );
        service(
            &list,
            Some(
                "pydantic_core._pydantic_core.ValidationError: 3 validation errors for Settings: DATABASE_URL (Field \
                 required), MAIL.HOST (Field required), workers (Input should be a valid integer)",
            ),
        );
        service("3 validation errors for Settings\nno list", None);
    }
}
