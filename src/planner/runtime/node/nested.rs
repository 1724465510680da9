//! Builds that install the packages of another directory themselves: `cd client && npm install && npm run build`. Pure.

use super::package::Package;

/// Such a directory's packages for development make what the service serves, as the root's do. npm and yarn would leave them
/// out, because NODE_ENV says "production".
pub const WITH_DEVELOPMENT: [&str; 2] = ["npm_config_include=dev", "YARN_PRODUCTION=false"];

/// Whether a script of the package, or one of these lines, installs packages and does not say which.
pub fn installs(package: &Package, lines: &[String]) -> bool {
    // They are not of a build; what the last two install follows the flags of `npm ci`, which runs them.
    const OTHERS: [&str; 6] = ["start", "prestart", "dev", "test", "preinstall", "install"];
    let stem = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
    let scripts = package.scripts.iter().filter(|(name, _)| !OTHERS.contains(&stem(name).as_str()));
    scripts.map(|(_, line)| line).chain(lines).any(|line| line_installs(line))
}

fn line_installs(line: &str) -> bool {
    line.split(['&', ';', '|']).any(|part| {
        let mut words = part.split_whitespace().skip_while(|word| word.contains('='));
        let program = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        let says = ["--omit", "--production", "--only", "--include", "--prod", "-g", "--global"];
        if words.iter().any(|word| says.iter().any(|option| word.starts_with(option))) {
            return false;
        }
        // In `npm --prefix client ci`, `client` is a directory and `ci` the command.
        let options = ["--prefix", "-C", "--cwd"];
        let is_value = |at: usize| at > 0 && options.contains(&words[at - 1]);
        let command = words.iter().enumerate().find(|(at, word)| !word.starts_with('-') && !is_value(*at));
        let command = command.map(|(_, word)| *word);
        matches!(
            (program, command),
            ("npm", Some("install" | "i" | "ci" | "clean-install")) | ("yarn", Some("install") | None)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_within_a_line_is_seen() {
        for line in [
            "cd client && npm install && npm run build",
            "npm ci --prefix client; npm run build --prefix client",
            "npm --prefix ./web i",
            "CI=1 npm install --legacy-peer-deps",
            "cd ui && yarn && yarn build",
            "yarn --cwd ui install",
        ] {
            assert!(line_installs(line), "{line}");
        }
        for line in [
            "npm run build",
            "npm run install:all",
            "cd client && npm ci --omit=dev",
            "npm install -g serve",
            "npm --prefix install run build",
            "yarn build",
            "echo npm install",
            "",
        ] {
            assert!(!line_installs(line), "{line}");
        }
    }
}
