//! Remedies for a reason that names something missing: a program, a shared library, a module or a variable. Pure.
//!
//! OS packages have Debian's names. A name of foreign text gets into a remedy only if it consists of harmless characters.

mod file;
mod python;

use super::reason;

/// Who lacks it: a command of the installation, or the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Command,
    Service,
}

/// Programs, and the OS package that contains each.
const PROGRAMS: &[(&str, &str)] = &[
    ("git", "git"),
    ("ssh", "openssh-client"),
    ("make", "make"),
    ("cmake", "cmake"),
    ("gcc", "gcc"),
    ("cc", "gcc"),
    ("g++", "g++"),
    ("c++", "g++"),
    ("clang", "clang"),
    ("python", "python3"),
    ("python3", "python3"),
    ("perl", "perl"),
    ("ruby", "ruby"),
    ("go", "golang-go"),
    ("cargo", "cargo"),
    ("java", "default-jre-headless"),
    ("pkg-config", "pkg-config"),
    ("autoreconf", "autoconf"),
    ("automake", "automake"),
    ("libtool", "libtool"),
    ("nasm", "nasm"),
    ("patch", "patch"),
    ("bash", "bash"),
    ("curl", "curl"),
    ("wget", "wget"),
    ("unzip", "unzip"),
    ("zip", "zip"),
    ("xz", "xz-utils"),
    ("bzip2", "bzip2"),
    ("rsync", "rsync"),
    ("jq", "jq"),
    ("openssl", "openssl"),
    ("ffmpeg", "ffmpeg"),
    ("ffprobe", "ffmpeg"),
    ("convert", "imagemagick"),
    ("gs", "ghostscript"),
    ("pdftotext", "poppler-utils"),
    ("psql", "postgresql-client"),
    ("pg_dump", "postgresql-client"),
    ("mysql", "default-mysql-client"),
    ("sqlite3", "sqlite3"),
    ("redis-cli", "redis-tools"),
];

/// Beginnings of shared libraries' file names, and the OS package that contains each.
const LIBRARIES: &[(&str, &str)] = &[
    ("libpq.so.5", "libpq5"),
    ("libvips-cpp.so.42", "libvips42"),
    ("libvips.so.42", "libvips42"),
    ("libcairo.so.2", "libcairo2"),
    ("libpangocairo-1.0.so.0", "libpangocairo-1.0-0"),
    ("libpango-1.0.so.0", "libpango-1.0-0"),
    ("libpixman-1.so.0", "libpixman-1-0"),
    ("librsvg-2.so.2", "librsvg2-2"),
    ("libjpeg.so.62", "libjpeg62-turbo"),
    ("libgif.so.7", "libgif7"),
    ("libGL.so.1", "libgl1"),
    ("libglib-2.0.so.0", "libglib2.0-0"),
    ("libnss3.so", "libnss3"),
    ("libnspr4.so", "libnspr4"),
    ("libatk-1.0.so.0", "libatk1.0-0"),
    ("libatk-bridge-2.0.so.0", "libatk-bridge2.0-0"),
    ("libcups.so.2", "libcups2"),
    ("libdrm.so.2", "libdrm2"),
    ("libgbm.so.1", "libgbm1"),
    ("libasound.so.2", "libasound2"),
    ("libxkbcommon.so.0", "libxkbcommon0"),
    ("libX11.so.6", "libx11-6"),
    ("libXcomposite.so.1", "libxcomposite1"),
    ("libXdamage.so.1", "libxdamage1"),
    ("libXfixes.so.3", "libxfixes3"),
    ("libXrandr.so.2", "libxrandr2"),
    ("libaio.so.1", "libaio1"),
    ("libodbc.so.2", "libodbc2"),
    ("libsqlite3.so.0", "libsqlite3-0"),
    ("libxml2.so.2", "libxml2"),
    ("libcurl.so.4", "libcurl4"),
    ("libmagic.so.1", "libmagic1"),
    ("libzmq.so.5", "libzmq5"),
    ("libgomp.so.1", "libgomp1"),
    ("libatomic.so.1", "libatomic1"),
    ("libusb-1.0.so.0", "libusb-1.0-0"),
    ("libssl.so.3", "libssl3"),
];

/// The OS packages that remedies name.
#[cfg(test)]
pub fn known_packages() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().chain(LIBRARIES).map(|(_, package)| *package)
}

/// The remedy for a reason, given with its line ends; `None` if it names nothing that is missing.
pub fn remedy(reason: &str, of: Of) -> Option<String> {
    library(reason)
        .or_else(|| program(reason))
        .or_else(|| module(reason, of))
        .or_else(|| python::module(reason, of))
        .or_else(|| file::remedy(reason))
        .or_else(|| variable(reason, of))
}

/// `packages = ["git"]`
pub fn packages(names: &[&str]) -> String {
    let names = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    format!("packages = [{names}]")
}

/// The OS package of a program.
fn package_of(program: &str) -> Option<&'static str> {
    let name = program.rsplit('/').next().unwrap_or(program);
    PROGRAMS.iter().find(|(known, _)| *known == name).map(|(_, package)| *package)
}

fn program(reason: &str) -> Option<String> {
    let name = reason.lines().find_map(missing_program)?;
    Some(match package_of(name) {
        Some(package) => {
            format!(
                "{name} is not on the machine: add {} to bootagent.toml; then: bootagent update",
                packages(&[package])
            )
        }
        None => format!(
            "{name} comes neither with the machine nor with the installed packages: if package.json has its package in \
             devDependencies, move it to dependencies; if the program is part of an OS package, add packages = [\"...\"] to \
             bootagent.toml; then: bootagent update"
        ),
    })
}

/// The program that a shell, env, make, Node or node-gyp did not find.
fn missing_program(line: &str) -> Option<&str> {
    let of_shell = || {
        let before = line.strip_suffix(": not found").or_else(|| line.strip_suffix(": command not found"))?;
        reason::is_of_a_shell(line).then(|| before.rsplit(": ").next()).flatten()
    };
    // Of Yarn's own shell.
    let of_yarn = || line.strip_prefix("command not found: ").map(str::trim);
    let of_env = || {
        let rest = line.split_once("/usr/bin/env: ")?.1.strip_suffix(": No such file or directory")?;
        Some(rest.trim_matches(['\'', '"', '‘', '’']))
    };
    let of_make = || {
        let rest = line.strip_prefix("make")?.strip_suffix(": No such file or directory")?;
        Some(rest.rsplit(": ").next()?.trim())
    };
    let of_gyp = || line.split_once("Error: not found: ").map(|(_, rest)| rest.trim());
    let of_node = || line.split_once("spawn ")?.1.split_once(" ENOENT").map(|(name, _)| name);
    let of_git = || line.strip_prefix("error: cannot run ")?.strip_suffix(": No such file or directory");
    let found = of_shell()
        .or_else(of_yarn)
        .or_else(of_env)
        .or_else(of_make)
        .or_else(of_gyp)
        .or_else(of_node)
        .or_else(of_git)?;
    is_harmless(found).then_some(found)
}

fn library(reason: &str) -> Option<String> {
    let line = reason.lines().find(|line| line.contains("cannot open shared object file"))?;
    let name =
        line.split(": cannot open").next()?.rsplit([' ', '/']).next().filter(|name| is_harmless(name))?;
    let package = LIBRARIES.iter().find(|(known, _)| name.starts_with(known)).map(|(_, package)| *package);
    let package = package.unwrap_or("...");
    let which =
        if package == "..." { format!(", with the OS package that contains {name}") } else { String::new() };
    Some(format!(
        "the shared library {name} is not on the machine: add {} to bootagent.toml{which}; then: bootagent update",
        packages(&[package])
    ))
}

fn module(reason: &str, of: Of) -> Option<String> {
    const SAYS: [&str; 3] = ["Cannot find module ", "Cannot find package ", "Can't resolve "];
    let rest = SAYS.iter().find_map(|says| reason.split_once(says)).map(|(_, rest)| rest)?;
    let name = rest.strip_prefix(['\'', '"'])?.split(['\'', '"']).next().filter(|name| is_harmless(name))?;
    let is_path = name.starts_with(['.', '/']);
    let advice = match of {
        _ if name.starts_with("node:") => return None,
        _ if is_path => {
            "the release does not have this file: is it in the repository, with the same upper and lower case, or does a \
             build make it (build in bootagent.toml)?"
                .to_owned()
        }
        Of::Service => {
            let package = package_in(name);
            format!(
                "{package} is not installed in the release: packages of devDependencies are removed after the build, so if \
                 package.json has {package} there, move it to dependencies; if it is nowhere, npm install {package}"
            )
        }
        Of::Command => {
            let package = package_in(name);
            // Workspaces usually have a scope, and are there from the start: what is missing is what their build makes.
            let own = match package.starts_with('@') {
                true => "; a workspace of this repository must be built before what uses it: npm builds them in the order of workspaces in package.json",
                false => "",
            };
            format!("{package} is not installed: add it to package.json (npm install {package}) and commit the lockfile{own}")
        }
    };
    Some(format!("{advice}; then: bootagent update"))
}

/// `@scope/name` of `@scope/name/file.js`.
fn package_in(module: &str) -> &str {
    let parts = if module.starts_with('@') { 2 } else { 1 };
    module.match_indices('/').nth(parts - 1).map_or(module, |(at, _)| &module[..at])
}

/// For a build that does not say which variable it lacks.
const OF_A_BUILD: &str = "builds do not get the secret: if the variable that it lacks is public, add it to env.values in bootagent.toml; if secret, let the service read it when it starts; then: bootagent update";

fn variable(reason: &str, of: Of) -> Option<String> {
    const MOST: usize = 8;
    let names = reason::variables(reason);
    if !is_about_variables(reason) {
        return None;
    }
    if names.is_empty() {
        let is_of_a_build = of == Of::Command && reason.to_lowercase().contains("environment variable");
        return is_of_a_build.then(|| OF_A_BUILD.to_owned());
    }
    let more = if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
    let first = names[0];
    let names = names[..names.len().min(MOST)].join(", ");
    Some(match of {
        Of::Service => format!(
            "add {names}{more} to the service's secret or, if public, to env.values in bootagent.toml; then: bootagent update"
        ),
        Of::Command => format!(
            "builds do not get the secret: if public, add {names}{more} to env.values in bootagent.toml; if secret, let the \
             service read it when it starts, or give the build a value of the same form that it does not use (build = \"{first}=... COMMAND\"); \
             then: bootagent update"
        ),
    })
}

/// Whether the text says that something is missing: also in the words of schema checkers, over many lines.
fn is_about_variables(reason: &str) -> bool {
    let lower = reason.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| lower.contains(words));
    says(&[
        "missing",
        "not set",
        "undefined",
        "required",
        "not found",
        "must be set",
        "unset",
        "not provided",
        "not been set",
        "set the ",
        "must not be empty",
    ]) && !lower.starts_with("referenceerror")
        && (says(&[
            "environment",
            "env ",
            "env.",
            "env:",
            "envvar",
            "variable",
            "config",
            "validation error",
        ]) || lower.contains("\"path\""))
        || python::is_key_of_the_environment(reason)
}

/// Whether a name of foreign text can stand in a remedy: the name of a program, library or module.
fn is_harmless(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "@/._+-:~".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn has(reason: &str, of: Of, words: &str) {
        let remedy = remedy(reason, of).unwrap_or_else(|| panic!("no remedy for {reason}"));
        assert!(remedy.contains(words), "{reason}: {remedy}");
    }

    #[test]
    fn a_missing_program_has_its_package() {
        for (line, package) in [
            ("/bin/sh: 1: git: not found", "packages = [\"git\"]"),
            ("sh: 1: make: not found", "packages = [\"make\"]"),
            ("/usr/bin/bash: line 1: cmake: command not found", "packages = [\"cmake\"]"),
            ("command not found: git", "packages = [\"git\"]"),
            ("/usr/bin/env: ‘python3’: No such file or directory", "packages = [\"python3\"]"),
            ("make: g++: No such file or directory", "packages = [\"g++\"]"),
            ("Error: not found: make", "packages = [\"make\"]"),
            ("Error: spawn ffmpeg ENOENT", "packages = [\"ffmpeg\"]"),
            ("error: cannot run ssh: No such file or directory", "packages = [\"openssh-client\"]"),
        ] {
            has(line, Of::Command, package);
        }
        has("sh: 1: husky: not found", Of::Command, "husky comes neither with the machine");
    }

    #[test]
    fn a_missing_library_has_its_package() {
        let line = "Error: libvips-cpp.so.42: cannot open shared object file: No such file or directory";
        has(line, Of::Service, "packages = [\"libvips42\"]");
        let line = "/opt/x/chrome: error while loading shared libraries: libnss3.so: cannot open shared object file: No such file";
        has(line, Of::Service, "packages = [\"libnss3\"]");
        has(
            "libodd.so.1: cannot open shared object file",
            Of::Service,
            "OS package that contains libodd.so.1",
        );
    }

    #[test]
    fn a_missing_module_is_one_of_the_package_or_a_file() {
        has(
            "Error: Cannot find module 'dotenv/config'",
            Of::Service,
            "move it to dependencies; if it is nowhere, npm install dotenv;",
        );
        has(
            "Error [ERR_MODULE_NOT_FOUND]: Cannot find package '@acme/lib' imported from /opt/x",
            Of::Service,
            "@acme/lib is not installed",
        );
        has("Error: Cannot find module '/opt/x/current/dist/main.js'", Of::Service, "build");
        has(
            "src/a.ts(1,2): error TS2307: Cannot find module 'express' or its types.",
            Of::Command,
            "npm install express",
        );
    }

    #[test]
    fn missing_variables_belong_into_the_secret() {
        has(
            "error: Environment variable not found: DATABASE_URL.",
            Of::Service,
            "add DATABASE_URL to the service's secret",
        );
        has(
            "error: Environment variable not found: DATABASE_URL.",
            Of::Command,
            "builds do not get the secret",
        );
        for reason in [
            "KeyError: 'SECRET_KEY'",
            "django.core.exceptions.ImproperlyConfigured: Set the SECRET_KEY environment variable",
            "django.core.exceptions.ImproperlyConfigured: The SECRET_KEY setting must not be empty.",
            "decouple.UndefinedValueError: SECRET_KEY not found. Declare it as envvar or define a default value.",
            "x.ValidationError: 1 validation error for Settings: SECRET_KEY (Field required)",
        ] {
            has(reason, Of::Service, "add SECRET_KEY to the service's secret");
        }
        has("Missing environment variables:\nA_B: text\nC_D", Of::Service, "add A_B, C_D to");
        let nameless = "Error: No connection string. Perhaps an environment variable has not been set?";
        has(nameless, Of::Command, "builds do not get the secret");
        assert_eq!(remedy(nameless, Of::Service), None);
    }

    #[test]
    fn other_reasons_have_none() {
        for reason in [
            "Error: connect ECONNREFUSED 127.0.0.1:5432",
            "KeyError: 'id'",
            "ReferenceError: API_KEY is not defined",
            "sh: 1: evil\u{202e}; rm: not found",
            "Error: Cannot find module '$(id)'",
            "Error: ENOENT: no such file or directory, open '/etc/x'",
            "TypeError: x is not a function",
            "",
        ] {
            assert_eq!(remedy(reason, Of::Service), None, "{reason}");
        }
    }
}
