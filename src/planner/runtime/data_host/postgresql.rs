//! PostgreSQL: its files, its first data, and how it is started and stopped.

use super::server::{Described, Server, Versions};
use super::{IS_ADDRESS, detect, is_listen, recipe_of};
use crate::facts::Protocol;
use crate::observe::manifest::{Key, Table, Takes};
use crate::planner::env::dotenv;
use crate::planner::runtime::Runtime;

pub static POSTGRESQL: Runtime = Runtime {
    name: "postgresql",
    evidence: &[],
    programs: &[],
    table: Table {
        name: "postgresql",
        keys: &[
            Key { name: "listen", expected: IS_ADDRESS, takes: Takes::Text(is_listen) },
            Key { name: "max_connections", expected: "a number like \"200\"", takes: Takes::Text(is_number) },
            Key { name: "shared_buffers", expected: "a size like \"2GB\"", takes: Takes::Text(is_size) },
            Key { name: "version", expected: "a major version like \"16\"", takes: Takes::Text(is_number) },
        ],
    },
    archives: &[],
    mirrors: &[],
    bundles: &[],
    dialect: &dotenv::NODE,
    network: |_, _| Default::default(),
    detect,
    recipe: |inputs| recipe_of(&POSTGRESQL, &SERVER, inputs),
};

pub static SERVER: Server = Server {
    name: "postgresql",
    port: 5432,
    protocol: Protocol::Postgresql,
    packages: |version| match version {
        Some(version) => vec![format!("postgresql-{version}")],
        None => vec!["postgresql".to_owned()],
    },
    own_units: &["postgresql.service", "postgresql@.service"],
    versions: Some(Versions {
        directories: &["/usr/lib/postgresql/*", "/usr/pgsql-*"],
        program: "bin/postgres",
    }),
    user: Some("POSTGRES_USER"),
    default_user: "postgres",
    password: "POSTGRES_PASSWORD",
    database: Some("POSTGRES_DB"),
    files: |of| vec![("postgresql.conf", configuration(of)), ("pg_hba.conf", ACCESS.to_owned())],
    argv: |of| {
        let file = format!("config_file={}", of.file("postgresql.conf"));
        [&of.versioned("bin/postgres"), "-D", &of.data.display().to_string(), "-c", &file]
            .map(str::to_owned)
            .into()
    },
    before_start: |_| None,
    // SIGTERM would wait for all clients to disconnect.
    stop_signal: Some("SIGINT"),
    script: SCRIPT,
};

/// Who may connect is what the security group lets through; each one needs a password.
const ACCESS: &str = "\
# Written by bootagent; do not edit: each run replaces this file.
local all all scram-sha-256
host all all all scram-sha-256
";

fn configuration(of: &Described) -> String {
    let mut text = format!(
        "# Written by bootagent; do not edit: each run replaces this file.
hba_file = '{hba}'
listen_addresses = '{listen}'
port = {port}
unix_socket_directories = '{state}'
password_encryption = 'scram-sha-256'
log_destination = 'stderr'
logging_collector = off
log_line_prefix = '%q%u@%d '
log_timezone = 'UTC'
timezone = 'UTC'
",
        hba = of.file("pg_hba.conf"),
        listen = of.host.listen.join(","),
        port = of.port,
        state = of.state.display(),
    );
    for key in ["max_connections", "shared_buffers"] {
        if let Some(value) = of.setting(key) {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text
}

/// The password arrives on standard input: an argument would be visible to every user. Without a server there is no
/// moment at which one without a password could be reached.
const SCRIPT: &str = r#"initdb="$link/bin/initdb"
printf '%s\n' "$POSTGRES_PASSWORD" | "$initdb" --pgdata="$new" --username="${POSTGRES_USER:-postgres}" --pwfile=/dev/stdin \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums --no-instructions
if [ -n "${POSTGRES_DB:-}" ] && [ "$POSTGRES_DB" != postgres ]; then
    printf 'CREATE DATABASE "%s" OWNER "%s";\n' "$POSTGRES_DB" "${POSTGRES_USER:-postgres}" |
        "$link/bin/postgres" --single -j -D "$new" postgres
fi
"#;

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 5 && text.bytes().all(|c| c.is_ascii_digit())
}

fn is_size(text: &str) -> bool {
    let digits = ["kB", "MB", "GB", "TB"].iter().find_map(|unit| text.strip_suffix(unit));
    digits.is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_add_a_line_to_the_configuration() {
        assert!(is_number("200") && is_size("2GB") && is_size("128MB"));
        for bad in ["", "2 GB", "1GB\nfsync = off", "1'", "GB", "x", "-1", "123456"] {
            assert!(!is_number(bad) && !is_size(bad), "{bad}");
        }
    }
}
