//! A Procfile: lines of `name: command`, as Heroku reads them.

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

/// Those that are in it and not started here.
pub fn others<'a>(text: &'a str, started: &str) -> Vec<&'a str> {
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
