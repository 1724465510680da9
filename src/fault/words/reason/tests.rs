//! Outputs as the tools print them, shortened, and the reason in each.

use super::*;

#[track_caller]
fn command(output: &str, reason: &str) {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let found = of_command(&lines).map(|found| text(&lines, found));
    assert_eq!(found.as_deref(), Some(reason), "{output}");
}

#[track_caller]
fn service(output: &str, reason: Option<&str>) {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let found = of_service(&lines).map(|found| text(&lines, found));
    assert_eq!(found.as_deref(), reason, "{output}");
}

#[test]
fn a_module_that_is_not_there() {
    let node = "node:internal/modules/cjs/loader:1228\n  throw err;\n  ^\n\nError: Cannot find module 'express'\nRequire stack:\n\
        - /opt/x/current/server.js\n    at Module._resolveFilename (node:internal/modules/cjs/loader:1225:15)\n  code: 'MODULE_NOT_FOUND',\n  \
        requireStack: [ '/opt/x/current/server.js' ]\n}\n\nNode.js v22.20.0";
    command(node, "Error: Cannot find module 'express'");
    service(node, Some("Error: Cannot find module 'express'"));
}

#[test]
fn variables_that_are_missing_one_in_each_line() {
    service(
        "EnvValidationException: Validation failed\n    - Missing environment variable \"APP_KEY\"\n- Missing environment variable \
         \"LOG_LEVEL\"\n   at anonymous build/start/env.js:2\nbye",
        Some("Missing environment variable \"APP_KEY\", Missing environment variable \"LOG_LEVEL\""),
    );
    service(
        "x Invalid env:\n{\n  \"DATABASE_URL\": [\n    \"Invalid input: expected string, received undefined\"\n  ]\n}\nbye",
        Some(
            "x Invalid env: { \"DATABASE_URL\": [ \"Invalid input: expected string, received undefined\" ] }",
        ),
    );
}

#[test]
fn a_program_that_is_not_there() {
    command(
        "npm error code 127\nnpm error path /opt/x\nnpm error command failed\nnpm error command sh -c husky\n\
         npm error sh: 1: husky: not found\nnpm error A complete log of this run can be found in: /x/debug-0.log",
        "sh: 1: husky: not found",
    );
    command(
        "> sample@1.0.0 build\n> node build.js\n/bin/sh: 1: git: not found\nnode:internal/errors:983\n  const err = new Error(message);\n  ^\n\
         Error: Command failed: git rev-parse --short HEAD\n/bin/sh: 1: git: not found\n    at genericNodeError (node:internal/errors:983:15)\n  \
         status: 127,\n  signal: null,\n  pid: 21,\nNode.js v22.20.0",
        "/bin/sh: 1: git: not found",
    );
    command(
        "➤ YN0007: │ sample@workspace:. must be built because it never has been before or the last one failed\n\
         ➤ YN0000: │ sample@workspace:. STDERR command not found: husky\n\
         ➤ YN0009: │ sample@workspace:. couldn't be built successfully (exit code 127, logs can be found here: /tmp/xfs-1/build.log)\n\
         ➤ YN0000: · Failed with errors in 0s 680ms",
        "command not found: husky",
    );
    command(
        "bun install v1.2.21 (7c45ed97)\n$ husky\n/usr/bin/bash: line 1: husky: command not found\nerror: postinstall script from \"sample\" exited with 127",
        "/usr/bin/bash: line 1: husky: command not found",
    );
    command(
        "yarn install v1.22.22\n$ husky\n/bin/sh: 1: husky: not found\nerror Command failed with exit code 127.\n\
         info Visit https://yarnpkg.com/en/docs/cli/install for documentation about this command.",
        "/bin/sh: 1: husky: not found",
    );
    command(
        ". postinstall$ husky\n. postinstall: sh: 1: husky: not found\n. postinstall: Failed\n ELIFECYCLE  Command failed with exit code 1.",
        "sh: 1: husky: not found",
    );
}

#[test]
fn node_gyp_s_errors_without_its_warnings() {
    command(
        "npm error code 1\nnpm error path /opt/x\nnpm error command failed\nnpm error command sh -c node-gyp rebuild\n\
         npm error gyp info it worked if it ends with ok\nnpm error gyp WARN install got an error, rolling back install\nnpm error gyp ERR! build error\n\
         npm error gyp ERR! stack Error: not found: make\nnpm error gyp ERR! stack at getNotFoundError (/x/which/which.js:16:17)\n\
         npm error gyp ERR! System Linux 6.1.0\nnpm error gyp ERR! not ok",
        "Error: not found: make",
    );
    command(
        "npm error gyp ERR! find Python **********************************************************\n\
         npm error gyp ERR! find Python You need to install the latest version of Python.\nnpm error gyp ERR! configure error\n\
         npm error gyp ERR! stack Error: Could not find any Python installation to use\n\
         npm error gyp ERR! stack at PythonFinder.fail (/x/find-python.js:306:11)",
        "Error: Could not find any Python installation to use",
    );
}

#[test]
fn compilers_and_bundlers() {
    command(
        "src/index.ts(3,10): error TS2307: Cannot find module 'express' or its corresponding type declarations.\n\
         src/index.ts(9,1): error TS2304: Cannot find name 'x'.\nnpm error Lifecycle script `build` failed with error:\nnpm error code 2",
        "src/index.ts(3,10): error TS2307: Cannot find module 'express' or its corresponding type declarations.",
    );
    command(
        "vite v6.0.0 building for production...\n✓ 2 modules transformed.\nx Build failed in 45ms\nerror during build:\n\
         [vite]: Rollup failed to resolve import \"left-pad\" from \"/opt/x/src/main.js\".\nThis is most likely unintended.\n    \
         at viteWarn (file:///opt/x/node_modules/vite/dist/node/chunks/dep.js:65589:17)",
        "error during build: [vite]: Rollup failed to resolve import \"left-pad\" from \"/opt/x/src/main.js\". This is most likely unintended.",
    );
    command(
        "   Creating an optimized production build ...\nFailed to compile.\n\n./app/page.js\nModule not found: Can't resolve 'left-pad'\n\n\
         https://nextjs.org/docs/messages/module-not-found\n\n> Build failed because of webpack errors",
        "Module not found: Can't resolve 'left-pad' (./app/page.js)",
    );
    command(
        "Failed to compile.\n\nsrc/app/layout.tsx\n`next/font` error:\nFailed to fetch `Geist` from Google Fonts.\n\n\
         > Build failed because of webpack errors",
        "Failed to fetch `Geist` from Google Fonts.",
    );
    command(
        "Failed to compile.\n\n./app/page.tsx:5:7\nType error: Type 'string' is not assignable to type 'number'.\n\n  3 | x",
        "Type error: Type 'string' is not assignable to type 'number'. (./app/page.tsx:5:7)",
    );
}

#[test]
fn prisma_and_nest() {
    let prisma = "Prisma schema loaded from prisma/schema.prisma\nError: Prisma schema validation - (get-config wasm)\nError code: P1012\n\
        error: Environment variable not found: DATABASE_URL.\n  -->  prisma/schema.prisma:8\n   | \n 7 |   provider = \"postgresql\"\n\
        Validation Error Count: 1\n[Context: getConfig]\nPrisma CLI Version : 6.0.0";
    command(prisma, "error: Environment variable not found: DATABASE_URL.");
    service(
        "PrismaClientInitializationError: \nInvalid `prisma.user.count()` invocation:\n\n\nerror: Environment variable not found: DATABASE_URL.\n  \
         -->  schema.prisma:8\n    at $n.handleRequestError (/opt/x/library.js:121:7615) {\n  clientVersion: '6.0.0',\n}",
        Some("error: Environment variable not found: DATABASE_URL."),
    );
    service(
        "[Nest] 7  - 11/28/2026, 9:00:00 PM   ERROR [ExceptionHandler] Nest can't resolve dependencies of the AppService (?).\n",
        Some(
            "[Nest] 7  - 11/28/2026, 9:00:00 PM   ERROR [ExceptionHandler] Nest can't resolve dependencies of the AppService (?).",
        ),
    );
}

/// Case 37: a checker that reports all at once, as a JSON list.
#[test]
fn an_error_over_many_lines_has_its_names() {
    let issue = |name: &str| {
        format!(
            "  {{\n    \"code\": \"invalid_type\",\n    \"expected\": \"string\",\n    \"received\": \"undefined\",\n    \
            \"path\": [\n      \"{name}\"\n    ],\n    \"message\": \"Required\"\n  }}"
        )
    };
    let issues = ["CONTACTS_TABLE", "CAMPAIGNS_TABLE", "PUBLIC_BASE_URL"].map(issue).join(",\n");
    let frames = "    at Object.<anonymous> (/opt/x/current/server.js:5:9)\n    at node:internal/main/run_main_module:36:49\n\nNode.js v22.20.0";
    let output = format!(
        "/opt/x/current/server.js:5\n  throw new ConfigError(1);\n  ^\n\nConfigError: [\n{issues}\n]\n{frames}"
    );
    service(&output, Some("ConfigError: CONTACTS_TABLE, CAMPAIGNS_TABLE, PUBLIC_BASE_URL"));
    command(&output, "ConfigError: CONTACTS_TABLE, CAMPAIGNS_TABLE, PUBLIC_BASE_URL");
    let lines: Vec<&str> = output.lines().collect();
    let reason = of_service(&lines).unwrap();
    assert!(whole(&lines, reason).ends_with(']'), "{}", whole(&lines, reason));
}

#[test]
fn lists_of_variables_in_plain_words() {
    service(
        "Error: Missing required environment variables:\n  - DATABASE_URL\n  - REDIS_URL\n    at Object.<anonymous> (/opt/x/config.js:5:9)",
        Some("Error: Missing required environment variables: DATABASE_URL, REDIS_URL"),
    );
    service(
        "================================\n Missing environment variables:\n    DATABASE_URL: eg. \"postgres://\"\n================================\n\
         Exiting with error code 1",
        Some("Missing environment variables: DATABASE_URL: eg. \"postgres://\""),
    );
    service(
        "❌ Invalid environment variables: [\n  {\n    code: 'invalid_type',\n    expected: 'string',\n    path: [ 'DATABASE_URL' ],\n    \
         message: 'Required'\n  }\n]\nError: Invalid environment variables\n    at onValidationError (file:///opt/x/index.js:12:11)",
        Some(
            "❌ Invalid environment variables: [ { code: 'invalid_type', expected: 'string', path: [ 'DATABASE_URL' ], message: 'Required' } ]",
        ),
    );
}

#[test]
fn an_earlier_warning_about_variables_is_not_the_reason_of_a_later_error() {
    service(
        "Missing optional environment variables: SENTRY_DSN\nup\nError: connect ECONNREFUSED 127.0.0.1:5432\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)",
        Some("Error: connect ECONNREFUSED 127.0.0.1:5432"),
    );
}

#[test]
fn an_error_of_bun_has_its_code_in_front() {
    let line = "EROFS: read-only file system, mkdir './data'";
    service(
        &format!("{line}\n    path: \"./data\",\n syscall: \"mkdir\",\n   errno: -30,\n    code: \"EROFS\""),
        Some(line),
    );
    service("EMAIL: jane@example.com\nERROR: Jane was here", None);
}

/// Of a service with ioredis, and of Sails.
#[test]
fn an_error_behind_the_services_own_words_is_found() {
    let line = "server start up failed:!!! Error: Connection is closed.";
    service(line, Some(line));
    service(
        "error: A hook (`session`) failed to load!\nerror: Failed to lift app: Error: connect ECONNREFUSED 127.0.0.1:6379\n    at x (node:net:1)",
        Some("error: Failed to lift app: Error: connect ECONNREFUSED 127.0.0.1:6379"),
    );
}

#[test]
fn what_a_service_logs_of_people_is_not_a_reason() {
    service(
        "session of Jane Doe\nan Error of sorts: x\nsent to jane@example.com\nUser not found: jane@example.com",
        None,
    );
    service("", None);
}

#[test]
fn a_wrapper_counts_only_if_nothing_else_names_an_error() {
    command(
        "no luck\nError: Command failed: node x.js\n    at x (y:1:2)",
        "Error: Command failed: node x.js",
    );
    service("Error: no database\nError: child exited with code 1\n", Some("Error: no database"));
}
