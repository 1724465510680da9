//! The hook of yarn's Plug'n'Play in command lines: Node finds the packages only with it. Also how a line runs in a
//! workspace. Pure.

use std::collections::BTreeMap;

use super::start::provider::is_of_the_system;
use super::start::word::{Words, assignments};
use crate::planner::runtime::command::Start;
use crate::planner::runtime::shell;

const OPTIONS: &str = "NODE_OPTIONS";

/// The argument vector that runs a line in a workspace. `argv` is the line's own one. With `hook` (options of Node, with
/// paths relative to the release) Node gets the hook by its whole path; a service may change its directory.
pub fn in_directory(directory: &str, argv: &[String], line: &str, hook: Option<&String>) -> Vec<String> {
    let whole = match argv {
        [shell, flag, line] if shell == "/bin/sh" && flag == "-c" => line.clone(),
        // Without its assignments, which are variables of the unit already.
        _ => {
            let words = line.split_whitespace();
            let words = words.skip_while(|word| shell::assignment(word).is_some() || *word == "exec");
            format!("exec {}", words.collect::<Vec<_>>().join(" "))
        }
    };
    let hook = hook.map(|hook| {
        let whole = hook.replace(" ./", " $PWD/");
        // The rest of the variable is the secret's.
        format!("export {OPTIONS}=\"{whole} ${{{OPTIONS}#'{hook}'}}\"; ")
    });
    let line = format!("{}cd '{directory}' && {whole}", hook.unwrap_or_default());
    vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
}

/// Lets yarn find the program of a line of one program: `prisma migrate deploy`, in front of `node server.js`, too.
pub fn by_yarn(line: &mut String) {
    let Some(words) = Words::of(line) else { return };
    let (_, at) = assignments(&words, 0);
    let at = if words.text(at) == "exec" { at + 1 } else { at };
    let program = words.text(at);
    if at >= words.len()
        || program.contains('/')
        || shell::is_of_the_shell(program)
        || is_of_the_system(program)
    {
        return;
    }
    let front = line.len() - words.from(at).len();
    let text = line.trim_end();
    *line = format!("{}yarn run {}", &text[..front.min(text.len())], words.from(at));
}

/// Yarn 2 writes the hook as `.pnp.js`, later versions as `.pnp.cjs`.
pub fn name_hook(start: &mut Start, defaults: &mut BTreeMap<String, String>, version: &str) {
    if !version.starts_with("2.") {
        return;
    }
    let named = |text: &mut String| *text = text.replace("/.pnp.cjs", "/.pnp.js");
    defaults.get_mut(OPTIONS).into_iter().for_each(named);
    start.argv.iter_mut().for_each(named);
}

/// A start line may set NODE_OPTIONS itself, for Node's memory. The hook stays in front of it.
pub fn keep_hook(start: &mut Start, defaults: &BTreeMap<String, String>) {
    let Some(hook) = defaults.get(OPTIONS) else { return };
    if let Some(own) = start.environment.get_mut(OPTIONS) {
        *own = format!("{hook} {own}");
    }
    if let [shell, _, line] = start.argv.as_mut_slice()
        && shell == "/bin/sh"
    {
        *line = keeping(line);
    }
}

/// The line, in which each assignment adds to the variable. Two words side by side are one.
fn keeping(line: &str) -> String {
    let assignment = format!("{OPTIONS}=");
    let mut parts = line.split(&assignment);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let sets = kept.is_empty() || (kept.ends_with(' ') && !kept.ends_with("export "));
        kept += &assignment;
        if sets {
            kept += &format!("\"${OPTIONS} \"");
        }
        kept += part;
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::planner::runtime::command;

    fn in_api(line: &str, hook: Option<&str>) -> String {
        let argv = command::start(line, Path::new("/n/bin/node")).unwrap().argv;
        in_directory("apps/api", &argv, line, hook.map(str::to_owned).as_ref()).pop().unwrap()
    }

    #[test]
    fn a_line_of_a_workspace_is_still_one_line() {
        for (line, whole) in [
            ("node x.js", "cd 'apps/api' && exec node x.js"),
            ("exec node x.js", "cd 'apps/api' && exec node x.js"),
            ("NODE_ENV=production node x.js", "cd 'apps/api' && exec node x.js"),
            ("A=\"$B\" node x.js", "cd 'apps/api' && A=\"$B\" exec node x.js"),
            ("node a.js && node b.js", "cd 'apps/api' && node a.js && exec node b.js"),
            ("node a.js | cat", "cd 'apps/api' && node a.js | cat"),
        ] {
            assert_eq!(in_api(line, None), whole);
        }
    }

    #[test]
    fn the_hook_has_its_whole_path_in_a_workspace() {
        let whole = in_api("node x.js", Some("--require ./.pnp.cjs --experimental-loader ./.pnp.loader.mjs"));
        let (export, rest) = whole.split_once("; ").unwrap();
        assert!(
            export.contains("\"--require $PWD/.pnp.cjs --experimental-loader $PWD/.pnp.loader.mjs "),
            "{export}"
        );
        assert_eq!(rest, "cd 'apps/api' && exec node x.js");
        // A real shell: what the secret has stays, and the relative path goes.
        for (value, wanted) in [
            ("--require ./.pnp.cjs", "--require /tmp/.pnp.cjs "),
            ("--require ./.pnp.cjs --a", "--require /tmp/.pnp.cjs  --a"),
            ("--max-old-space-size=512", "--require /tmp/.pnp.cjs --max-old-space-size=512"),
        ] {
            let export = in_api("node x.js", Some("--require ./.pnp.cjs"));
            let (export, _) = export.split_once("; ").unwrap();
            let script = format!("{export}; printf %s \"$NODE_OPTIONS\"");
            let mut shell = std::process::Command::new("/bin/sh");
            let shell =
                shell.args(["-c", &script]).current_dir("/tmp").env("NODE_OPTIONS", value).env("PWD", "/tmp");
            assert_eq!(String::from_utf8(shell.output().unwrap().stdout).unwrap(), wanted);
        }
    }

    #[test]
    fn yarn_finds_the_programs_of_packages_and_no_others() {
        for (line, becomes) in [
            ("prisma migrate deploy", "yarn run prisma migrate deploy"),
            ("A=1 tsx src/x.ts", "A=1 yarn run tsx src/x.ts"),
            ("next start -p 3000", "yarn run next start -p 3000"),
        ] {
            let mut line = line.to_owned();
            by_yarn(&mut line);
            assert_eq!(line, becomes);
        }
        for stays in [
            "node x.js",
            "A=1 node x",
            "yarn run x",
            "mkdir -p /tmp/x",
            "./run.sh",
            "cd apps/api",
            "a | b",
            "",
        ] {
            let mut line = stays.to_owned();
            by_yarn(&mut line);
            assert_eq!(line, stays);
        }
    }

    #[test]
    fn an_assignment_of_the_line_adds_to_the_hook() {
        for (line, kept) in [
            ("NODE_OPTIONS='--a b' exec node x", "NODE_OPTIONS=\"$NODE_OPTIONS \"'--a b' exec node x"),
            ("A=1 NODE_OPTIONS=--a exec node x", "A=1 NODE_OPTIONS=\"$NODE_OPTIONS \"--a exec node x"),
        ] {
            assert_eq!(keeping(line), kept);
        }
        for line in ["exec node x", "export NODE_OPTIONS=\"x\"; exec node x", "MY_NODE_OPTIONS=1 exec node x"]
        {
            assert_eq!(keeping(line), line);
        }
    }
}
