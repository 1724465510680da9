//! Which text looks like a secret: by the forms that their makers give them, so that scanners can find them. Pure.

/// What a file's content looks like; `name` is its file name. None if it looks like nothing that is secret.
pub fn looks_secret(name: &str, content: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(content);
    let has = |words: &str| text.contains(words);
    match name {
        ".git-credentials" if has("://") => return Some("a password of git"),
        ".netrc" | "_netrc" if has("password") => return Some("a password"),
        "config.json" | ".dockercfg" if has("\"auth\"") => return Some("a login to a registry"),
        ".env" if text.lines().any(is_assignment) => return Some("an environment file"),
        _ => {}
    }
    match () {
        () if has_private_key(&text) => Some("a private key"),
        () if ["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"].iter().any(|name| assigns(&text, name)) => {
            Some("an access key of AWS")
        }
        () if assigns(&text, ":_authToken") || assigns(&text, ":_password") => Some("a token of a registry"),
        () => TOKENS.iter().any(|(prefix, digits)| has_token(&text, prefix, *digits)).then_some("a token"),
    }
}

/// How tokens begin, and at least how many letters, digits, `_` and `-` follow.
const TOKENS: &[(&str, usize)] = &[
    ("ghp_", 36),
    ("gho_", 36),
    ("ghu_", 36),
    ("ghs_", 36),
    ("github_pat_", 40),
    ("glpat-", 20),
    ("npm_", 36),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("sk_live_", 20),
];

fn has_token(text: &str, prefix: &str, digits: usize) -> bool {
    text.match_indices(prefix).any(|(at, _)| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let begins = !text[..at].chars().next_back().is_some_and(is_part);
        begins && text[at + prefix.len()..].chars().take_while(|c| is_part(*c)).count() >= digits
    })
}

fn has_private_key(text: &str) -> bool {
    text.match_indices("-----BEGIN ").any(|(at, begin)| {
        let label = text[at + begin.len()..].lines().next().unwrap_or_default();
        label.len() < 60 && label.contains("PRIVATE KEY") && label.trim_end().ends_with("-----")
    })
}

/// Whether a line gives the name a value that is not a variable, as in `//registry/:_authToken=x`.
fn assigns(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let rest = text[at + name.len()..].lines().next().unwrap_or_default().trim_start();
        let value = rest.strip_prefix('=').map(|value| value.trim().trim_matches(['"', '\'']));
        value.is_some_and(|value| !value.is_empty() && !value.starts_with('$'))
    })
}

fn is_assignment(line: &str) -> bool {
    let line = line.trim();
    let value = line.split_once('=').map(|(_, value)| value.trim());
    !line.starts_with('#') && value.is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_found() {
        let token = format!("export GITHUB_TOKEN=ghp_{}\n", "a1".repeat(18));
        for (name, content) in [
            ("id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n"),
            ("any", "text\n-----BEGIN PRIVATE KEY-----\r\nx"),
            ("credentials", "[default]\naws_secret_access_key = wJalr\n"),
            (".npmrc", "//registry.acme.test/:_authToken=abc\n"),
            (".git-credentials", "https://u:p@github.com\n"),
            (".netrc", "machine x login y password z\n"),
            ("config.json", "{\"auths\": {\"r\": {\"auth\": \"eDp5\"}}}"),
            (".bashrc", "export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI\n"),
            (".env", "# comment\nTOKEN=x\n"),
            ("profile", token.as_str()),
        ] {
            assert!(looks_secret(name, content.as_bytes()).is_some(), "{name}: {content}");
        }
    }

    #[test]
    fn what_is_public_is_not_taken_for_one() {
        for (name, content) in [
            ("ca.pem", "-----BEGIN CERTIFICATE-----\nx\n"),
            ("id.pub", "-----BEGIN PUBLIC KEY-----\n"),
            (".npmrc", "//registry.acme.test/:_authToken=${NPM_TOKEN}\n"),
            ("openssl.cnf", "output_password = mypass\n"),
            ("settings", "aws_secret_access_key =\n"),
            ("doc", "tokens begin with ghp_ or npm_run_all_and_more\n"),
            ("doc", "the file begins with -----BEGIN and has a PRIVATE KEY in it"),
            (".env", "# TOKEN=x\nEMPTY=\n"),
            ("config.json", "{}"),
            ("words", "xghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ] {
            assert_eq!(looks_secret(name, content.as_bytes()), None, "{name}: {content}");
        }
    }
}
