//! What is unusual about a service, and would surprise its owner at a boot or later.

use super::super::{only_of_operators, persist, unset};
use super::health::Port;
use super::warning::{Warning, warning};
use super::{Subject, command, health, plain, start, tree};
use crate::facts::Strength;
use crate::observe::manifest::{LowPort, Manifest};
use crate::observe::secrets::Variables;
use crate::planner::runtime::NODE;
use crate::secret::Secret;

/// The warnings, and the notes, which need no change.
pub fn warnings(subject: &Subject) -> (Vec<Warning>, Vec<String>) {
    let Subject { tree, manifest, recipe, line } = subject;
    let is_note = |note: &&String| NEED_NO_CHANGE.iter().any(|words| note.contains(words));
    let (noted, warned): (Vec<&String>, Vec<&String>) = recipe.notes.iter().partition(is_note);
    let mut found: Vec<Warning> = warned.into_iter().map(|note| warning(code_of(note), note)).collect();
    found.extend(daemon(line).map(in_the_background));
    found.extend(develops(line));
    found.extend(loopback(line));
    found.extend(as_root(subject));
    found.extend(unreleased(subject));
    found.extend(lockfiles(subject));
    found.extend(node_env(subject));
    found.extend(port(subject));
    found.extend(manifest.low_ports.iter().map(low_port));
    found.extend(low_variable(subject));
    found.extend(without_a_secret(manifest));
    found.extend(operators(subject));
    found.extend(persist::hints(tree.source, manifest, recipe).iter().map(|hint| warning("read-only", hint)));
    found.extend(tree::warnings(subject));
    let notes = noted.into_iter().map(|note| plain(note));
    let notes = notes.chain(without_a_path(subject)).chain(example(subject)).collect();
    (found, notes)
}

/// Of the recipe's notes, those with these words only inform.
const NEED_NO_CHANGE: &[&str] =
    &["OS packages for ", "no packages are installed", "another patch of the same version"];

/// Codes of the recipe's notes, by their words.
const CODES: &[(&str, &str)] = &[
    ("development dependencies stay", "development-dependencies"),
    ("to watch files", "watcher"),
    ("without a lockfile", "no-lockfile"),
    ("leaves versions open", "open-versions"),
    ("packages may come from", "other-index"),
    ("of the Procfile only one process", "process-not-started"),
    ("is not run, because the service is started without npm", "script-not-run"),
    ("nothing builds", "not-built"),
    ("a SQLite database in the release", "read-only"),
    ("listens before its workers are ready", "no-health-path"),
];

fn code_of(note: &str) -> &'static str {
    CODES.iter().find(|(words, _)| note.contains(words)).map_or("convention", |(_, code)| code)
}

/// Programs, each with the word behind it, that start a service and end.
const DAEMONS: &[(&str, &str)] = &[
    ("pm2", "start"),
    ("pm2", "restart"),
    ("pm2", "reload"),
    ("pm2", "startOrRestart"),
    ("pm2", "startOrReload"),
    ("forever", "start"),
    ("systemctl", "start"),
    ("systemctl", "restart"),
    ("docker", "run"),
    ("docker-compose", "up"),
    ("docker", "compose"),
];
/// Programs and options that put a process into the background.
const BACKGROUND: &[&str] = &["nohup", "setsid", "daemonize", "start-stop-daemon", "--daemon", "--daemonize"];

/// The words by which a start command leaves its service in the background.
pub fn daemon(line: &str) -> Option<&'static str> {
    let words = command::words(line);
    let in_the_foreground = words.iter().any(|word| matches!(*word, "--no-daemon" | "--attach"));
    let pair = words.windows(2).find_map(|pair| {
        let program = pair[0].rsplit('/').next().unwrap_or_default();
        DAEMONS.iter().find(|(known, word)| *known == program && *word == pair[1])
    });
    let line = line.trim_end();
    match pair {
        Some((program, word)) if !in_the_foreground => Some(match (*program, *word) {
            ("pm2", _) => "pm2 start",
            ("forever", _) => "forever start",
            ("systemctl", _) => "systemctl",
            _ => "docker",
        }),
        _ if line.ends_with('&') && !line.ends_with("&&") => Some("& at its end"),
        _ => {
            let named = BACKGROUND.iter().copied().find(|word| words.contains(word));
            let of_gunicorn = words.contains(&"gunicorn") && words.contains(&"-D");
            named.or(of_gunicorn.then_some("-D"))
        }
    }
}

fn low_port(low: &LowPort) -> Warning {
    let text = format!(
        "{} is {}: a boot refuses a port below 1024 unless the machine's policy allows it (low_ports)",
        low.key, low.port
    );
    warning("low-port", text)
}

/// A boot ends where a required variable has no source.
fn without_a_secret(manifest: &Manifest) -> Option<Warning> {
    let env = &manifest.env;
    let is_set = |name: &str| env.values.contains_key(name) || env.compose.contains_key(name);
    let missing: Vec<&str> = env.required.iter().map(String::as_str).filter(|name| !is_set(name)).collect();
    let has_none = !manifest.secret && env.from.is_empty() && !missing.is_empty();
    let text = || {
        format!(
            "env.required has {}, and with secret = false nothing sets it: add it to env.values, or remove secret = false",
            plain(&missing.join(", "))
        )
    };
    has_none.then(|| warning("required-missing", text()))
}

/// A policy allows low ports for keys of the manifest, not for a variable.
fn low_variable(subject: &Subject) -> Option<Warning> {
    let found = health::port(subject).filter(|found| found.port < 1024)?;
    let is_key = subject.manifest.low_ports.iter().any(|low| low.port == found.port);
    let text = format!(
        "the service's port is {} ({}): a boot refuses a port below 1024 unless the machine's policy allows it (low_ports)",
        found.port, found.origin
    );
    (!is_key).then(|| warning("low-port", text))
}

fn in_the_background(words: &str) -> Warning {
    warning(
        "daemon",
        format!(
            "the start command leaves the service in the background ({words}), and systemd takes its end for that of the \
             service: start the program itself, in the foreground"
        ),
    )
}

/// Words of development servers that a runtime did not unwrap.
const DEVELOPMENT: &[&str] = &[
    "nodemon",
    "ts-node-dev",
    "tsnd",
    "--watch",
    "--hot",
    "--reload",
    "runserver",
    "livereload",
    "node-dev",
];

fn develops(line: &str) -> Option<Warning> {
    let words = command::words(line);
    let word = DEVELOPMENT.iter().find(|word| words.contains(word)).copied();
    let word = word.or_else(|| words.windows(2).any(|pair| pair == ["flask", "run"]).then_some("flask run"));
    word.map(|word| {
        let text = format!("the start command is for development ({word}): a release does not change, and a crash may not end it");
        warning("development-server", text)
    })
}

fn loopback(line: &str) -> Option<Warning> {
    let is_loopback = |value: &str| {
        let value = value.rsplit("//").next().unwrap_or_default();
        ["127.0.0.1", "localhost", "::1", "[::1]"]
            .iter()
            .any(|name| value.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')))
    };
    let (option, value) = command::addresses(line).into_iter().find(|(_, value)| is_loopback(value))?;
    Some(warning(
        "loopback",
        format!(
            "the start command listens on {value} only ({option}): no load balancer and no other machine reaches it"
        ),
    ))
}

/// Neither the build user nor the service's user may become root.
fn as_root(subject: &Subject) -> Option<Warning> {
    let recipe = subject.recipe;
    let work = recipe.parts().flat_map(|part| &part.work);
    let all = work.map(|work| &work.argv).chain(&recipe.migrate).chain([&recipe.start.argv]);
    let line = all.map(|argv| command::typed(argv)).find(|line| command::words(line).contains(&"sudo"))?;
    Some(warning(
        "sudo",
        format!("sudo fails in \"{line}\": no command runs as root; for OS packages, use packages = [...]"),
    ))
}

/// Newer than any release of Node for years; a range that needs a newer one is a mistake.
const NO_NODE_YET: &str = ">=0.0.0 <60.0.0";

fn unreleased(subject: &Subject) -> Option<Warning> {
    let recipe = subject.recipe;
    let (by, range) = recipe.chosen_by.split_once(": ").filter(|_| recipe.of.name == NODE.name)?;
    let released = nodejs_semver::Range::parse(NO_NODE_YET).ok()?;
    let wanted = nodejs_semver::Range::parse(range.strip_prefix('v').unwrap_or(range)).ok()?;
    let text = format!(
        "{by} asks for Node {range}, and there is no such release: a boot ends with E-RUNTIME-MISSING"
    );
    (!released.allows_any(&wanted)).then(|| warning("node-not-released", text))
}

/// Lockfiles by manager.
const LOCKFILES: &[&[&str]] = &[
    &["package-lock.json", "npm-shrinkwrap.json"],
    &["yarn.lock"],
    &["pnpm-lock.yaml"],
    &["bun.lock", "bun.lockb"],
];

fn lockfiles(subject: &Subject) -> Option<Warning> {
    let source = subject.tree.source;
    let of_one = |paths: &&[&'static str]| paths.iter().copied().find(|path| source.has(path));
    let found: Vec<&str> = LOCKFILES.iter().filter_map(of_one).collect();
    let manager = subject.recipe.settings.iter().find(|setting| setting.name == "packages")?;
    let text = format!(
        "there are {}, and {} is used ({}): remove the lockfiles of other package managers, which become stale",
        found.join(" and "),
        manager.value,
        manager.origin
    );
    (found.len() > 1).then(|| warning("two-lockfiles", text))
}

/// NODE_ENV is "production" by default. Another value installs and serves something else than most people expect.
fn node_env(subject: &Subject) -> Option<Warning> {
    let Subject { manifest, recipe, .. } = subject;
    if recipe.of.name != NODE.name {
        return None;
    }
    let set = recipe.start.environment.get("NODE_ENV").map(|value| (value, "the start command"));
    let set = set.or_else(|| Some((manifest.env.values.get("NODE_ENV")?, "env.values")));
    if let Some((value, by)) = set.filter(|(value, _)| *value != "production") {
        let text = format!(
            "NODE_ENV is \"{value}\" ({by}): frameworks then serve a development version, or are slower"
        );
        return Some(warning("node-env", text));
    }
    let is_required = manifest.env.required.iter().any(|name| name == "NODE_ENV");
    let text = "env.required asks for NODE_ENV: without it in the secret the service gets \"production\", and a value in \
                the secret does not reach the build";
    is_required.then(|| warning("node-env", text))
}

fn port(subject: &Subject) -> Option<Warning> {
    let health = &subject.manifest.health;
    let named = command::port(&subject.line);
    match (health::port(subject), named) {
        _ if health.check == Some(Strength::Process) => None,
        (Some(Port { port, origin }), Some(named)) if named != port => {
            let text = format!(
                "the start command names port {named}, and the health check asks on {port} ({origin})"
            );
            Some(warning("other-port", text))
        }
        (Some(_), _) => None,
        (None, _) => {
            let text = match &health.path {
                Some(path) => format!(
                    "no port is known: without PORT in the secret, {path} is asked on the port that the service is found to \
                     listen on; set port"
                ),
                None => "no port is known: without PORT in the secret, only the port that the service is found to listen on \
                         is checked and, if there is none, only that a process stays alive; set port and health"
                    .to_owned(),
            };
            Some(warning("no-port", text))
        }
    }
}

/// The secret is not known here.
fn example(subject: &Subject) -> Option<String> {
    let mut variables = Variables::default();
    for (name, value) in &subject.manifest.env.values {
        variables.insert(name.as_str(), Secret::new(value));
    }
    variables.insert("PORT", Secret::new(""));
    let unset = unset::of(subject.tree.source, &variables)?;
    Some(format!(
        "{} names {}: what the service needs of them belongs in its secret or, if public, in env.values",
        unset.file,
        unset.shown()
    ))
}

/// `validate` does not know whose manifest it reads: an operator may check one before it becomes part of an AMI.
fn operators(subject: &Subject) -> Option<Warning> {
    let key = only_of_operators(subject.manifest, subject.recipe)?;
    let text = format!(
        "{key} is refused in a repository's manifest: write it into /etc/bootagent/services/SERVICE.toml"
    );
    Some(warning("operators-only", text))
}

fn without_a_path(subject: &Subject) -> Option<String> {
    let health = &subject.manifest.health;
    let only_connects = health.path.is_none() && health.check.is_none() && health::port(subject).is_some();
    let text = "an open port counts as healthy: with health = \"/PATH\" a request must be answered, too";
    (only_connects && subject.recipe.site().is_none() && start::is_web(subject)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_command_that_ends_while_its_service_runs_is_recognized() {
        for (line, words) in [
            ("pm2 start ecosystem.config.js", "pm2 start"),
            ("npx pm2 start app.js -i max", "pm2 start"),
            ("node_modules/.bin/pm2 reload all", "pm2 start"),
            ("forever start app.js", "forever start"),
            ("nohup node server.js > log", "nohup"),
            ("node server.js &", "& at its end"),
            ("gunicorn -D app:app", "-D"),
            ("gunicorn app:app --daemon", "--daemon"),
            ("(setsid node x)", "setsid"),
        ] {
            assert_eq!(daemon(line), Some(words), "{line}");
        }
        for line in [
            "node server.js",
            "pm2-runtime start ecosystem.config.js",
            "pm2 start x.js --no-daemon",
            "forever app.js",
            "node a.js && node b.js",
            "node x -D",
            "node pm2.js start",
            "",
        ] {
            assert_eq!(daemon(line), None, "{line}");
        }
    }

    #[test]
    fn an_address_of_this_machine_only_is_recognized() {
        for line in [
            "next start -H 127.0.0.1",
            "uvicorn --host=localhost app:app",
            "gunicorn -b 127.0.0.1:8000 app:app",
            "HOST=::1 node x",
            "serve -l tcp://localhost:3000",
        ] {
            assert_eq!(loopback(line).map(|found| found.code), Some("loopback"), "{line}");
        }
        for line in [
            "next start -H 0.0.0.0",
            "node x --redis localhost:6379",
            "REDIS=127.0.0.1 node x",
            "uvicorn --host localhost.example app:app",
            "node x",
        ] {
            assert_eq!(loopback(line), None, "{line}");
        }
    }

    #[test]
    fn a_server_for_development_is_recognized() {
        for line in
            ["A=1 nodemon x | cat", "uvicorn app:app --reload", "python manage.py runserver", "flask run"]
        {
            assert!(develops(line).is_some(), "{line}");
        }
        for line in
            ["node watch.js", "flask db upgrade && gunicorn app:app", "uvicorn app:app", "node server.js"]
        {
            assert_eq!(develops(line), None, "{line}");
        }
    }
}
