//! Which of several scripts for a build builds the service. Pure.

/// Of the scripts `build:...`, one that builds what a service runs: by its usual name, else the first that is not known to
/// build something else.
pub fn most_useful<'a>(names: &[&'a str]) -> Option<&'a str> {
    const USUAL: &[&str] = &["prod", "production", "all", "app", "web", "frontend", "client", "server"];
    const OF_OTHERS: &[&str] = &[
        "docker",
        "container",
        "image",
        "watch",
        "dev",
        "debug",
        "doc",
        "type",
        "storybook",
        "test",
        "lint",
        "health",
        "electron",
        "android",
        "ios",
        "mobile",
        "desktop",
        "example",
        "demo",
        "bench",
        "analyze",
        "clean",
    ];
    let usual = USUAL
        .iter()
        .find_map(|usual| names.iter().find(|name| name.strip_prefix("build:") == Some(usual)).copied());
    let is_of_others = |name: &str| {
        let mut parts = name.split([':', '-', '_', '.', '/']).skip(1);
        parts.any(|part| OF_OTHERS.iter().any(|word| part.starts_with(word)))
    };
    usual.or_else(|| names.iter().find(|name| !is_of_others(name)).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_script_with_another_name_is_proposed_if_the_service_may_need_it() {
        for (names, useful) in [
            (&["build:docker", "build:frontend", "build:docker-nightly"][..], Some("build:frontend")),
            (&["build:client", "build:prod"], Some("build:prod")),
            (&["build:css", "build:watch"], Some("build:css")),
            (&["build:scenarios"], Some("build:scenarios")),
            (&["build:docker:prod", "build:healthcheck", "build:dev", "build:types", "build:app-ios"], None),
            (&[], None),
        ] {
            assert_eq!(most_useful(names), useful, "{names:?}");
        }
    }
}
