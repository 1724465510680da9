//! Programs that run another program and start it again when its files change, such as `node --watch`. They live on when
//! that program has ended, so that their unit is active although the service is not there. Reads only.

use std::path::Path;

use super::cgroup::{self, Family};

/// Options of node that have their value in the next argument.
const WITH_A_VALUE: &[&str] =
    &["-r", "--require", "--import", "--loader", "--experimental-loader", "--env-file", "-C", "--conditions"];

/// The watcher in this control group whose program has ended, if there is one.
pub fn idle(cgroup: &str) -> Option<&'static str> {
    let members: Vec<(u32, Family)> =
        cgroup::processes(cgroup).into_iter().filter_map(|pid| Some((pid, cgroup::family(pid)?))).collect();
    let watcher = |(pid, family): &(u32, Family)| {
        let is_alone = members.iter().all(|(_, other)| other.parent != *pid);
        (is_alone && family.has_ended_children).then(|| named(&cgroup::arguments(*pid))).flatten()
    };
    members.iter().find_map(watcher)
}

/// The name of the watcher that has these arguments.
fn named(arguments: &[String]) -> Option<&'static str> {
    let mut arguments = arguments.iter().map(String::as_str);
    let program = file(arguments.next()?);
    if program != "node" {
        return by_script(program, program, arguments.next());
    }
    while let Some(argument) = arguments.next() {
        match argument {
            "--watch" => return Some("node --watch"),
            _ if argument.starts_with("--watch-path") => return Some("node --watch"),
            _ if WITH_A_VALUE.contains(&argument) => drop(arguments.next()),
            _ if argument.starts_with('-') => {}
            script => return by_script(script, file(script), arguments.next()),
        }
    }
    None
}

fn by_script(path: &str, name: &str, first_argument: Option<&str>) -> Option<&'static str> {
    match name {
        "nodemon" | "nodemon.js" => Some("nodemon"),
        "ts-node-dev" | "tsnd" => Some("ts-node-dev"),
        "node-dev" => Some("node-dev"),
        "tsx" if first_argument == Some("watch") => Some("tsx watch"),
        _ if path.ends_with("tsx/dist/cli.mjs") && first_argument == Some("watch") => Some("tsx watch"),
        _ => None,
    }
}

fn file(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watcher(line: &str) -> Option<&'static str> {
        named(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn watchers_are_recognized_by_their_arguments() {
        for (line, name) in [
            ("/opt/node/bin/node --watch server.js", "node --watch"),
            ("node --watch-path=./src --inspect server.js", "node --watch"),
            ("node -r dotenv/config --watch server.js", "node --watch"),
            ("node /opt/x/current/node_modules/.bin/nodemon server.js", "nodemon"),
            ("node /x/node_modules/nodemon/bin/nodemon.js --exec y", "nodemon"),
            ("node /x/node_modules/.bin/tsx watch src/x.ts", "tsx watch"),
            ("node /x/node_modules/tsx/dist/cli.mjs watch src/x.ts", "tsx watch"),
            ("node /x/node_modules/.bin/ts-node-dev --respawn x.ts", "ts-node-dev"),
            ("nodemon", "nodemon"),
        ] {
            assert_eq!(watcher(line), Some(name), "{line}");
        }
    }

    #[test]
    fn other_programs_and_the_service_s_own_arguments_do_not_count() {
        for line in [
            "node server.js",
            "node server.js --watch",
            "node -r nodemon server.js",
            "node --require --watch server.js",
            "node /x/node_modules/.bin/tsx src/watch.ts",
            "python3 nodemon.py",
            "/bin/sh -c nodemon",
            "",
        ] {
            assert_eq!(watcher(line), None, "{line}");
        }
        assert_eq!(named(&[]), None);
    }

    #[test]
    fn a_control_group_without_processes_has_none() {
        assert_eq!(idle(""), None);
        assert_eq!(idle("/no/such/group"), None);
    }
}
