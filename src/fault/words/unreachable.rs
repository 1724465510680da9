//! The remedy for a service that cannot reach another server, such as its database. Pure.

/// Words of a connection that failed, in front of the server's address.
const CONNECT: [&str; 4] =
    ["connect ECONNREFUSED ", "connect ETIMEDOUT ", "connect EHOSTUNREACH ", "connect ENETUNREACH "];
/// Words of a name that has no address, in front of the name.
const NAME: [&str; 5] = [
    "getaddrinfo ENOTFOUND ",
    "getaddrinfo EAI_AGAIN ",
    "querySrv ENOTFOUND ",
    "could not translate host name ",
    "Unknown MySQL server host ",
];
const SERVERS: &[(&str, &str)] = &[
    ("5432", "PostgreSQL"),
    ("3306", "MySQL"),
    ("6379", "Redis"),
    ("27017", "MongoDB"),
    ("5672", "RabbitMQ"),
    ("9092", "Kafka"),
    ("9200", "Elasticsearch"),
    ("11211", "memcached"),
    ("4222", "NATS"),
];

/// The remedy, if the reason says that a server does not answer or that its name has no address.
pub fn remedy(reason: &str) -> Option<String> {
    let what = refused(reason).or_else(|| without_address(reason))?;
    Some(format!(
        "{what}: its address belongs in the service's secret; the server must run, and its security group must admit this \
         instance; then: bootagent update --again"
    ))
}

fn refused(reason: &str) -> Option<String> {
    let address = CONNECT.iter().find_map(|words| first_word(after(reason, words)?));
    let address = address.map(str::to_owned).or_else(|| of_libpq(reason)).or_else(|| of_prisma(reason))?;
    let port = address.rsplit(':').next().unwrap_or_default();
    let server = SERVERS.iter().find(|(known, _)| *known == port).map(|(_, server)| *server);
    let server = server.map(|server| format!(" ({server}?)")).unwrap_or_default();
    Some(format!("the service gets no answer from {address}{server}"))
}

fn without_address(reason: &str) -> Option<String> {
    let name = NAME.iter().find_map(|words| first_word(after(reason, words)?))?;
    Some(format!("the name {name} of a server that the service needs has no address"))
}

/// `connection to server at "10.0.0.1", port 5432 failed: Connection refused`
fn of_libpq(reason: &str) -> Option<String> {
    let rest = after(reason, "connection to server at ")?;
    let port = first_word(after(rest, "port ")?)?;
    Some(format!("{}:{port}", first_word(rest)?))
}

/// Prisma: ``Can't reach database server at `db:5432` ``
fn of_prisma(reason: &str) -> Option<String> {
    first_word(after(reason, "Can't reach database server at ")?).map(str::to_owned)
}

fn after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    text.split_once(words).map(|(_, rest)| rest)
}

/// The first word without quotes. Foreign text: it gets into a remedy only if it is an address or a name.
fn first_word(text: &str) -> Option<&str> {
    let word = text.split_whitespace().next()?.trim_matches(['"', '\'', '`', ',', '.', ';', ')', '(']);
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || ".:-_[]".contains(c);
    (!word.is_empty() && word.len() <= 120 && word.chars().all(is_harmless)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_answer_is_named_with_its_address() {
        for (reason, words) in [
            ("Error: connect ECONNREFUSED 127.0.0.1:5432", "from 127.0.0.1:5432 (PostgreSQL?)"),
            (
                "MongoServerSelectionError: connect ECONNREFUSED ::1:27017, connect ECONNREFUSED 127.0.0.1:27017",
                "::1:27017 (MongoDB?)",
            ),
            ("Error: connect ETIMEDOUT 10.0.1.7:4000", "from 10.0.1.7:4000: "),
            (
                "psycopg2.OperationalError: connection to server at \"10.0.0.1\", port 5432 failed: Connection refused",
                "from 10.0.0.1:5432 (PostgreSQL?)",
            ),
            (
                "PrismaClientInitializationError:\nCan't reach database server at `db:3306`",
                "from db:3306 (MySQL?)",
            ),
        ] {
            let remedy = remedy(reason).unwrap_or_else(|| panic!("{reason}"));
            assert!(remedy.contains(words) && remedy.contains("secret"), "{reason}: {remedy}");
        }
    }

    #[test]
    fn a_name_without_an_address_is_named() {
        for (reason, name) in [
            ("Error: getaddrinfo ENOTFOUND db.internal", "db.internal"),
            ("Error: querySrv ENOTFOUND _mongodb._tcp.cluster.test", "_mongodb._tcp.cluster.test"),
            ("could not translate host name \"db\" to address: Name or service not known", "db"),
        ] {
            let remedy = remedy(reason).unwrap_or_else(|| panic!("{reason}"));
            assert!(remedy.starts_with(&format!("the name {name} of a server")), "{remedy}");
        }
    }

    #[test]
    fn other_reasons_and_odd_addresses_have_none() {
        for reason in [
            "Error: listen EADDRINUSE: address already in use :::3000",
            "Error: connect ECONNREFUSED",
            "Error: connect ECONNREFUSED $(reboot)",
            "Error: getaddrinfo ENOTFOUND \u{202e}x",
            "Error: connection lost",
            "",
        ] {
            assert!(remedy(reason).is_none(), "{reason}");
        }
    }
}
