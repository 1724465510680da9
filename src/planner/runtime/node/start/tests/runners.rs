//! Runners of several workspaces, nodemon's configuration, and former major versions of frameworks.

use super::*;

#[test]
fn a_script_of_every_workspace_leads_to_the_only_one_that_has_it() {
    let api = r#"{"name": "api", "scripts": {"start": "node api.js"}}"#;
    let root = r#"{"workspaces": ["apps/*"], "devDependencies": {"lerna": "8"}}"#;
    for line in [
        "pnpm -r start",
        "pnpm --recursive run start",
        "pnpm -r --parallel run start",
        "lerna run start --stream",
    ] {
        monorepo(root, api, |project, _| {
            let resolved = resolve(line, project).unwrap();
            assert_eq!(
                (resolved.line.as_str(), resolved.directory.as_deref()),
                ("node api.js", Some("apps/api")),
                "{line}"
            );
        });
    }
    for line in [
        "pnpm -r serve",
        "pnpm -r --filter api start",
        "lerna run start --scope=api",
        "lerna exec start",
        "pnpm -r exec node x",
    ] {
        monorepo(root, api, |project, _| assert_eq!(resolve(line, project).unwrap().line, line));
    }
    let files =
        source(&[("apps/api/package.json", api), ("apps/web/package.json", &api.replace("api", "web"))]);
    let package = package::parse("package.json", root).unwrap();
    let workspaces = workspace::workspaces(&files, &package, &[]).unwrap();
    let project = Project { package: &package, workspaces: &workspaces, has: &|_| false };
    for line in ["pnpm -r start", "lerna run start"] {
        assert_eq!(resolve(line, &project).unwrap().line, line, "two of them run side by side");
    }
}

#[test]
fn nodemon_starts_what_its_configuration_names() {
    for (config, line, becomes) in [
        (r#"{"exec": "tsx src/index.ts", "watch": ["src"]}"#, "nodemon", "tsx src/index.ts"),
        (r#"{"script": "server/main.js"}"#, "nodemon", "node server/main.js"),
        (r#"{"exec": "ts-node", "ext": "ts"}"#, "nodemon src/a.ts", "ts-node src/a.ts"),
        (r#"{"exec": "tsx src/index.ts"}"#, "nodemon --exec 'node x.js'", "node x.js"),
        (r#"{"script": "a.js"}"#, "nodemon b.js", "node b.js"),
        (r#"{"watch": ["src"]}"#, "nodemon", "node index.js"),
    ] {
        let json = format!(r#"{{"nodemonConfig": {config}, "devDependencies": {{"tsx": "4"}}}}"#);
        assert_eq!(resolved(&json, line).unwrap().line, becomes, "{config}: {line}");
        let of_file = package::nodemon(config).unwrap();
        assert_eq!(Some(of_file), package::parse("package.json", &json).unwrap().nodemon);
    }
    // Not read: it may have comments.
    assert_eq!(package::nodemon("// x\n{}"), None);
    let stays = resolved("{}", "nodemon").unwrap();
    assert!(stays.line == "nodemon" && stays.notes[0].contains("nodemon.json"), "{stays:?}");
}

#[test]
fn former_major_versions_start_in_their_own_way() {
    let framework = |name: &str, version: &str| {
        let json = format!(r#"{{"dependencies": {{"{name}": "{version}"}}}}"#);
        framework::of(&package::parse("package.json", &json).unwrap()).unwrap().start
    };
    for (name, version, start) in [
        ("nuxt", "^2.15.8", "nuxt start"),
        ("nuxt", "2", "nuxt start"),
        ("nuxt", "^3.2.0", "node .output/server/index.mjs"),
        ("nuxt", "latest", "node .output/server/index.mjs"),
        ("@adonisjs/core", "~5.9.0", "node build/server.js"),
        ("@adonisjs/core", "^6.2.0", "node build/bin/server.js"),
    ] {
        assert_eq!(framework(name, version), start, "{name} {version}");
    }
}
