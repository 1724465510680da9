//! A Procfile: lines of `name: command`, as Heroku reads them.

use super::recipe::RecipeInputs;
use crate::error::{Code, Error, Result};
use crate::secret::excerpt;

/// The line that is started, and notes on those that are not. A Procfile that cannot be read is an error: without it
/// something else would be started.
pub fn start(inputs: &RecipeInputs, notes: &mut Vec<String>) -> Result<Option<String>> {
    let text = inputs.source.read("Procfile").map_err(|why| {
        Error::new(Code::ManifestInvalid, "reading Procfile", why.to_owned())
            .remedy("make it a plain, short text file in UTF-8, or write its line as start in bootagent.toml")
    })?;
    let text = text.unwrap_or_default();
    let line = command(text);
    let manifest = inputs.manifest;
    let is_process = |name: &str| manifest.processes.contains_key(name);
    notes.extend(notes_of(text, line, !manifest.migrate.is_empty(), is_process));
    Ok(line.map(str::to_owned))
}

fn notes_of(
    text: &str,
    line: Option<&str>,
    migrates: bool,
    is_process: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut notes = Vec::new();
    let others = others(text, line.unwrap_or_default());
    let others: Vec<&str> = others.into_iter().filter(|name| *name != RELEASE && !is_process(name)).collect();
    if line.is_none()
        && let Some(names) = undecided(text)
    {
        notes.push(format!(
            "nothing of the Procfile is started: it has {}, and no web",
            excerpt(&names.join(" and "))
        ));
    }
    if line.is_some() && !others.is_empty() {
        let (first, others) = (excerpt(others[0]), excerpt(&others.join(", ")));
        notes.push(format!(
            "of the Procfile only one process is started, and not {others}: [processes.{first}] in bootagent.toml runs it beside the service"
        ));
    }
    let release = processes(text).find(|(name, command)| *name == RELEASE && Some(*command) != line);
    if let Some((_, command)) = release.filter(|_| !migrates) {
        let command = in_toml(&excerpt(command));
        notes.push(format!(
            "the release line of the Procfile is not run: migrate = {command} in bootagent.toml runs it once for each release, before it serves"
        ));
    }
    notes
}

/// Heroku runs it before each release serves.
const RELEASE: &str = "release";

/// A text as bootagent.toml has it. The escapes of JSON are also TOML's.
pub fn in_toml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The command of the process that serves, else of the one worker. What is released or run by a clock is not started.
pub fn command(text: &str) -> Option<&str> {
    let named = |name: &str| processes(text).find(|(known, _)| *known == name).map(|(_, command)| command);
    let only = || {
        let mut all = processes(text).filter(|(name, _)| !matches!(*name, "release" | "clock"));
        let first = all.next()?;
        all.next().is_none().then_some(first.1)
    };
    named("web").or_else(|| named("worker")).or_else(only)
}

/// The names of several processes, of which none is known to be the service.
pub fn undecided(text: &str) -> Option<Vec<&str>> {
    let names: Vec<&str> =
        processes(text).map(|(name, _)| name).filter(|name| !matches!(*name, RELEASE | "clock")).collect();
    (command(text).is_none() && names.len() > 1).then_some(names)
}

/// Those that are in it and not started here.
fn others<'a>(text: &'a str, started: &str) -> Vec<&'a str> {
    processes(text).filter(|(_, command)| *command != started).map(|(name, _)| name).collect()
}

fn processes(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let (name, command) = line.split_once(':')?;
        let (name, command) = (name.trim(), command.trim());
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        (!name.is_empty() && name.chars().all(plain) && !command.is_empty()).then_some((name, command))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_line_is_proposed_as_a_migration() {
        for (text, migrates, notes) in [
            ("web: x\nrelease: npx prisma migrate deploy\n", false, &["\"npx prisma migrate deploy\""][..]),
            ("release: a \"b\" 'c'\n", false, &[r#"migrate = "a \"b\" 'c'""#]),
            ("web: x\nworker: y\nrelease: z\n", false, &["and not worker", "\"z\""]),
            ("web: x\nrelease: z\n", true, &[]),
            ("web: x\n", false, &[]),
            ("", false, &[]),
            ("bot: x\napi: y\n", false, &["it has bot and api, and no web"]),
        ] {
            let found = notes_of(text, command(text), migrates, |_| false);
            assert_eq!(found.len(), notes.len(), "{text}: {found:?}");
            assert!(found.iter().zip(notes).all(|(found, says)| found.contains(says)), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_serves_is_started() {
        for (text, wanted) in [
            ("web: gunicorn app:app\nworker: python w.py\n", Some("gunicorn app:app")),
            ("release: x\nworker: python w.py\n", Some("python w.py")),
            ("release: x\nbot: python bot.py\n", Some("python bot.py")),
            ("a: x\nb: y\n", None),
            ("# web: x\n", None),
            ("web:\n", None),
            ("", None),
        ] {
            assert_eq!(command(text), wanted, "{text}");
        }
        assert_eq!(others("web: x\nworker: y\nrelease: z\n", "x"), ["worker", "release"]);
    }
}
