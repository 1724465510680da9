//! Which values are too ordinary to be hidden everywhere.
//!
//! A secret also contains values like `production`, `us-east-1` and `3000`; an error without such words would not show
//! what is wrong. In doubt a value is hidden. `docs/reference/environment.md` documents the rule.

/// Where in a text a value is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Everywhere, also inside a longer word, and in every form.
    Anywhere,
    /// Only as a whole word.
    Word,
    /// Only as a whole word outside of paths and names with dots or dashes: not in `./billing/x.js`.
    LoneWord,
    /// Only as a whole word, in a text that contains the variable's name.
    Named,
}

/// Values with fewer characters also occur in other text by chance: `true`, `1`, `main`.
const SHORT: usize = 6;
/// Longer numbers may be keys or card numbers.
const LONGEST_NUMBER: usize = 12;
/// Longer words are rare in configurations, and may be random letters.
const LONGEST_PART: usize = 12;
/// Longer values may be passphrases.
const LONGEST_WORDS: usize = 40;
/// Three words that are not in `LISTED` may be a passphrase.
const MOST_UNLISTED: usize = 2;

/// Where a variable's value is hidden.
pub fn reach(name: &str, value: &str) -> Reach {
    match (kind(value), sounds_secret(name)) {
        (Kind::Short, _) | (Kind::Ordinary, false) => Reach::Named,
        (Kind::Ordinary, true) => Reach::Word,
        (Kind::Words, false) => Reach::LoneWord,
        (Kind::Words, true) | (Kind::Other, _) => Reach::Anywhere,
    }
}

/// Whether the user in an address may be a token, as in `https://ghp_0123456789abcdef@github.com`.
pub fn looks_like_a_token(value: &str) -> bool {
    value.chars().count() >= 8 && kind(value) == Kind::Other
}

/// Whether a variable's name says that its value is a secret: `DB_PASSWORD`, `apiKey`, `BASIC_AUTH`.
pub fn sounds_secret(name: &str) -> bool {
    const PARTS: [&str; 12] = [
        "PASS",
        "PWD",
        "SECRET",
        "TOKEN",
        "KEY",
        "CRED",
        "PRIVATE",
        "SALT",
        "SIGNATURE",
        "COOKIE",
        "SESSION",
        "PEPPER",
    ];
    const WORDS: [&str; 6] = ["PIN", "OTP", "PW", "PSK", "JWT", "SEED"];
    let name = name.to_ascii_uppercase();
    PARTS.iter().any(|part| name.contains(part))
        || name.ends_with("AUTH")
        || name.split('_').any(|word| WORDS.contains(&word))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Short,
    /// A number, or only words of `LISTED`.
    Ordinary,
    /// One or two other words, perhaps beside listed ones.
    Words,
    Other,
}

fn kind(value: &str) -> Kind {
    let length = value.chars().count();
    match () {
        () if length < SHORT => Kind::Short,
        () if is_number(value) || is_one_sign(value) => Kind::Ordinary,
        () if length > LONGEST_WORDS => Kind::Other,
        () => words(value),
    }
}

/// A port, a time, a date or an IP address: `3600000`, `10.0.0.17`, `2026-01-31`.
fn is_number(value: &str) -> bool {
    value.len() <= LONGEST_NUMBER
        && value.contains(|c: char| c.is_ascii_digit())
        && value.chars().all(|c| c.is_ascii_digit() || " .,:-+/%".contains(c))
}

/// Placeholders like `xxxxxxxx` and `------`.
fn is_one_sign(value: &str) -> bool {
    value.chars().all(|c| value.starts_with(c))
}

fn words(value: &str) -> Kind {
    let is_sign = |c: char| !c.is_alphanumeric();
    if !value.chars().filter(|c| is_sign(*c)).all(|c| " -_./:,".contains(c)) {
        return Kind::Other;
    }
    let (mut listed, mut numbers, mut unlisted) = (0, 0, 0);
    for part in value.split(is_sign).filter(|part| !part.is_empty()) {
        match () {
            () if LISTED.contains(&part.to_ascii_lowercase().as_str()) => listed += 1,
            () if part.len() < SHORT && part.bytes().all(|byte| byte.is_ascii_digit()) => numbers += 1,
            () if is_plain(part) => unlisted += 1,
            () => return Kind::Other,
        }
    }
    match unlisted {
        0 if numbers <= listed => Kind::Ordinary,
        1..=MOST_UNLISTED if numbers == 0 => Kind::Words,
        _ => Kind::Other,
    }
}

/// Whether a word is all lower case, capitalised or all upper case: tokens mix the cases.
fn is_plain(part: &str) -> bool {
    let rest = part.get(1..).unwrap_or_default();
    part.len() <= LONGEST_PART
        && part.bytes().all(|byte| byte.is_ascii_alphabetic())
        && (rest.bytes().all(|byte| byte.is_ascii_lowercase())
            || part.bytes().all(|byte| byte.is_ascii_uppercase()))
}

/// Environments, places and hosts, levels and switches, protocols and programs, and the words of error messages.
#[rustfmt::skip]
const LISTED: &[&str] = &[
    "dev", "develop", "development", "local", "test", "testing", "stage", "staging", "prod", "production", "live", "preview",
    "sandbox", "demo", "beta", "canary", "release", "debug", "default", "main", "master", "latest", "stable", "next",
    "us", "eu", "ap", "ca", "sa", "af", "me", "il", "mx", "cn", "gov", "east", "west", "north", "south", "central",
    "northeast", "northwest", "southeast", "southwest", "global", "region", "europe", "america", "asia", "utc", "gmt",
    "localhost", "localdomain", "internal", "example", "com", "net", "org", "io", "amazonaws", "aws", "rds", "s3", "sqs", "cache",
    "http", "https", "tcp", "udp", "tls", "ssl", "file", "smtp", "redis", "postgres", "postgresql", "mysql", "mariadb", "mongo",
    "mongodb", "sqlite", "amqp", "rabbitmq", "kafka", "memcached", "elasticsearch", "nginx", "docker", "linux",
    "trace", "info", "warn", "warning", "error", "fatal", "notice", "silent", "verbose", "quiet", "level", "log", "logs", "logger",
    "true", "false", "yes", "no", "on", "off", "enable", "enabled", "disable", "disabled", "none", "null", "undefined", "auto",
    "always", "never", "require", "required", "prefer", "allow", "deny", "optional", "strict", "basic", "bearer",
    "public", "private", "static", "dist", "build", "src", "lib", "bin", "app", "apps", "api", "web", "www", "assets", "uploads",
    "images", "index", "config", "configuration", "settings", "environment", "data", "tmp", "var", "opt", "etc", "home", "root",
    "node", "npm", "module", "modules", "package", "packages", "server", "client", "service", "services", "worker", "backend",
    "frontend", "database", "schema", "table", "user", "users", "admin", "guest", "name", "host", "port", "path", "url", "address",
    "string", "number", "object", "function", "json", "text", "plain", "html", "utf8", "utf", "ascii", "base64", "memory", "disk",
    "connection", "connect", "connected", "timeout", "refused", "failed", "failure", "invalid", "missing", "found", "not", "cannot",
    "find", "read", "write", "open", "close", "start", "stop", "restart", "running", "process", "system", "request", "response",
    "access", "denied", "permission", "password", "secret", "token", "value", "key", "and", "the", "for", "to", "of", "in", "at",
    "v1", "v2", "v3",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_values_are_hidden_only_beside_their_name() {
        for value in [
            "1",
            "true",
            "main",
            "a b c",
            "production",
            "Production",
            "localhost",
            "server",
            "info",
            "public",
            "development",
            "us-east-1",
            "eu-central-1",
            "12345678",
            "3600000",
            "10.0.0.17",
            "127.0.0.1",
            "2026-01-31",
            "http://localhost:3000",
            "localhost:5432",
            "xxxxxxxx",
            "------",
            "error,warn",
            "/var/log/app",
            "module",
        ] {
            assert_eq!(reach("SETTING", value), Reach::Named, "{value}");
        }
    }

    #[test]
    fn more_is_hidden_if_the_variable_s_name_sounds_secret() {
        for name in [
            "PASSWORD",
            "db_password",
            "apiKey",
            "TOKEN",
            "BASIC_AUTH",
            "ADMIN_PWD",
            "JWT_SECRET",
            "DB_PW",
            "DB_CREDS",
        ] {
            assert_eq!(reach(name, "production"), Reach::Word, "{name}");
            assert_eq!(reach(name, "dragons"), Reach::Anywhere, "{name}");
            assert_eq!(reach(name, "1234"), Reach::Named, "{name}: 1234 is part of too many other texts");
        }
        for name in ["MODE", "NODE_ENV", "SHIPPING", "AUTHOR", "HOST"] {
            assert_eq!(reach(name, "production"), Reach::Named, "{name}");
        }
    }

    #[test]
    fn other_words_are_hidden_outside_of_paths() {
        for value in ["billing", "auth-service", "dragons", "Dragons", "DRAGONS", "api.acme.io"] {
            assert_eq!(reach("SETTING", value), Reach::LoneWord, "{value}");
        }
    }

    #[test]
    fn possible_secrets_are_hidden_everywhere() {
        for value in [
            "hunter2",
            "dRaGons",
            "correct-horse-battery-staple",
            "xkqzvbnmpwrtlsdfg",
            "4111111111111111",
            "12345-67890-12345",
            "tok-00999",
            "user@example.com",
            "production!",
            "p@ssword",
            "AKIAIOSFODNN7EXAMPLE",
            "deadbeef0123",
            "日本語日本語",
            "postgres://app:secret@localhost/app",
            "prod uction2",
            "passwörter",
        ] {
            assert_eq!(reach("SETTING", value), Reach::Anywhere, "{value}");
        }
    }

    #[test]
    fn a_user_with_random_letters_is_a_token() {
        for (user, wanted) in
            [("ghp_0123456789abcdef", true), ("app", false), ("app-user", false), ("x4", false)]
        {
            assert_eq!(looks_like_a_token(user), wanted, "{user}");
        }
    }

    #[test]
    fn listed_words_are_short_and_lower_case() {
        for word in LISTED {
            assert!(
                word.len() <= 14 && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
                "{word}"
            );
        }
    }
}
