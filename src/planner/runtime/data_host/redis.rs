//! Redis: its files, and how it is started. Its password is not part of the data: it is the secret's of each start.

use super::server::{Described, Server};
use super::{IS_ADDRESS, detect, is_listen, recipe_of};
use crate::facts::{Family, Machine, Protocol};
use crate::observe::manifest::{Key, Table, Takes};
use crate::planner::env::dotenv;
use crate::planner::runtime::Runtime;

pub static REDIS: Runtime = Runtime {
    name: "redis",
    evidence: &[],
    programs: &[],
    table: Table {
        name: "redis",
        keys: &[
            Key { name: "appendonly", expected: "true or false", takes: Takes::Flag },
            Key { name: "listen", expected: IS_ADDRESS, takes: Takes::Text(is_listen) },
            Key { name: "maxmemory", expected: "a size like \"512mb\"", takes: Takes::Text(is_size) },
            Key {
                name: "maxmemory_policy",
                expected: "one of Redis's, like \"allkeys-lru\"",
                takes: Takes::Text(is_policy),
            },
        ],
    },
    archives: &[],
    mirrors: &[],
    bundles: &[],
    dialect: &dotenv::NODE,
    network: |_, _| Default::default(),
    detect,
    recipe: |inputs| recipe_of(&REDIS, &SERVER, inputs),
};

/// Amazon Linux has several versions, each with its own name.
fn program(machine: &Machine) -> &'static str {
    match machine.family() {
        Some(Family::Amazon) => "/usr/bin/redis6-server",
        _ => "/usr/bin/redis-server",
    }
}
/// In the unit's own /tmp, which no other program sees.
const PASSWORD_FILE: &str = "/tmp/password.conf";

pub static SERVER: Server = Server {
    name: "redis",
    port: 6379,
    protocol: Protocol::Redis,
    packages: |_| vec!["redis-server".to_owned()],
    own_units: &["redis-server.service"],
    versions: None,
    user: None,
    default_user: "default",
    password: "REDIS_PASSWORD",
    database: None,
    files: |of| vec![("redis.conf", configuration(of)), ("redis-password", PASSWORD.to_owned())],
    argv: |of| vec![program(of.machine).to_owned(), of.file("redis.conf")],
    before_start: |of| Some(vec!["/bin/sh".to_owned(), of.file("redis-password")]),
    stop_signal: None,
    script: "",
};

/// Each byte of the password is written as `\xHH`, so that none has a meaning for Redis's parser. The health check's user may do
/// nothing but PING.
const PASSWORD: &str = r#"# Written by bootagent; do not edit: each run replaces this file.
set -eu
umask 077
hex=$(printf %s "$REDIS_PASSWORD" | od -An -v -tx1 | tr -d '\n' | sed 's/ /\\x/g')
{
    printf 'requirepass "%s"\n' "$hex"
    printf 'user bootagent on nopass resetkeys -@all +ping\n'
} >/tmp/password.conf
"#;

fn configuration(of: &Described) -> String {
    let mut text = format!(
        "# Written by bootagent; do not edit: each run replaces this file.
bind {listen}
port {port}
protected-mode yes
daemonize no
supervised no
logfile \"\"
dir {data}
appendonly {appendonly}
include {PASSWORD_FILE}
",
        listen = of.host.listen.join(" "),
        port = of.port,
        data = of.data.display(),
        appendonly = if of.setting("appendonly") == Some("false") { "no" } else { "yes" },
    );
    for (key, directive) in [("maxmemory", "maxmemory"), ("maxmemory_policy", "maxmemory-policy")] {
        if let Some(value) = of.setting(key) {
            text.push_str(&format!("{directive} {value}\n"));
        }
    }
    text
}

fn is_size(text: &str) -> bool {
    let digits = ["kb", "mb", "gb"].iter().find_map(|unit| text.strip_suffix(unit));
    digits.is_some_and(|digits| {
        !digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|c| c.is_ascii_digit())
    })
}

fn is_policy(text: &str) -> bool {
    const ALL: &[&str] = &[
        "noeviction",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ];
    ALL.contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_add_a_line_to_the_configuration() {
        assert!(is_size("512mb") && is_size("2gb") && is_policy("allkeys-lru"));
        for bad in ["", "512", "1gb\nport 1", "gb", "1 gb", "lru", "noeviction x"] {
            assert!(!is_size(bad) && !is_policy(bad), "{bad}");
        }
    }
}
