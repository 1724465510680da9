//! MongoDB: its files, its first user, and how it is started. The packages come from MongoDB's own repository, which the
//! policy names with its key.

use super::server::{Described, Server};
use super::{IS_ADDRESS, detect, is_listen, recipe_of};
use crate::facts::Protocol;
use crate::observe::manifest::{Key, Table, Takes};
use crate::planner::env::dotenv;
use crate::planner::runtime::Runtime;

pub static MONGODB: Runtime = Runtime {
    name: "mongodb",
    evidence: &[],
    programs: &[],
    table: Table {
        name: "mongodb",
        keys: &[
            Key { name: "cache_gb", expected: "gigabytes like \"1.5\"", takes: Takes::Text(is_gigabytes) },
            Key { name: "listen", expected: IS_ADDRESS, takes: Takes::Text(is_listen) },
        ],
    },
    archives: &[],
    mirrors: &[],
    bundles: &[],
    dialect: &dotenv::NODE,
    network: |_, _| Default::default(),
    detect,
    recipe: |inputs| recipe_of(&MONGODB, &SERVER, inputs),
};

pub static SERVER: Server = Server {
    name: "mongodb",
    port: 27017,
    protocol: Protocol::Mongodb,
    packages: |_| ["mongodb-org-server", "mongodb-mongosh"].map(str::to_owned).into(),
    own_units: &["mongod.service"],
    versions: None,
    user: Some("MONGO_INITDB_ROOT_USERNAME"),
    default_user: "root",
    password: "MONGO_INITDB_ROOT_PASSWORD",
    database: None,
    files: |of| vec![("mongod.conf", configuration(of))],
    argv: |of| ["/usr/bin/mongod", "--config", &of.file("mongod.conf")].map(str::to_owned).into(),
    before_start: |_| None,
    stop_signal: None,
    script: SCRIPT,
};

fn configuration(of: &Described) -> String {
    let mut text = format!(
        "# Written by bootagent; do not edit: each run replaces this file.
net:
  bindIp: {listen}
  port: {port}
  unixDomainSocket:
    enabled: false
processManagement:
  fork: false
security:
  authorization: enabled
storage:
  dbPath: {data}
",
        listen = of.host.listen.join(","),
        port = of.port,
        data = of.data.display(),
    );
    if let Some(cache) = of.setting("cache_gb") {
        text.push_str(&format!("  wiredTiger:\n    engineConfig:\n      cacheSizeGB: {cache}\n"));
    }
    text
}

/// The unit that runs it has a network of its own: while there is no user yet, nothing else can connect. The password is
/// read from the environment: an argument would be visible to every user.
const SCRIPT: &str = r#"/usr/bin/mongod --dbpath "$new" --bind_ip 127.0.0.1 --port 27017 --nounixsocket >/tmp/mongod.log 2>&1 &
mongod=$!
trap 'kill "$mongod" 2>/dev/null || true; tail -n 5 /tmp/mongod.log >&2' EXIT
cat >/tmp/first-user.js <<'JS'
db.getSiblingDB("admin").createUser({
  user: process.env.MONGO_INITDB_ROOT_USERNAME || "root",
  pwd: process.env.MONGO_INITDB_ROOT_PASSWORD,
  roles: [{ role: "root", db: "admin" }],
});
JS
tries=0
until /usr/bin/mongosh --quiet --norc --port 27017 --eval 'db.adminCommand({ ping: 1 }).ok' >/dev/null 2>&1; do
    kill -0 "$mongod"
    tries=$((tries + 1))
    [ "$tries" -lt 60 ]
    sleep 1
done
/usr/bin/mongosh --quiet --norc --port 27017 --file /tmp/first-user.js
trap - EXIT
kill "$mongod"
wait "$mongod"
"#;

fn is_gigabytes(text: &str) -> bool {
    let plain = text.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    plain && text.len() <= 8 && text.parse::<f64>().is_ok_and(|size| size >= 0.25)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_add_a_line_to_the_configuration() {
        assert!(is_gigabytes("1.5") && is_gigabytes("16"));
        for bad in ["", "0.1", "1\n", "1e9", "-1", "x", "1.5.2"] {
            assert!(!is_gigabytes(bad), "{bad}");
        }
    }
}
