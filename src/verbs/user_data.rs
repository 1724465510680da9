//! `bootagent user-data`: prints a script of at most ten lines for the launch template. It has no secret. Of a program that
//! it downloads it runs only the bytes with the SHA-256 that it names; who answered, and over which connection, does not matter.
//!
//! The script is for dash, bash and busybox ash, with curl or with wget. All that is put into it is quoted or is made of
//! letters, digits and a few characters that no shell expands.

use crate::cli::{Download, UserDataArgs};
use crate::error::{Code, Error, Result};
use crate::facts::Service;
use crate::machine;
use crate::observe::Fragment;
use crate::report::{print, tell};

const DOWNLOAD: &str = include_str!("user_data/download.sh");
const INSTALLED: &str = include_str!("user_data/installed.sh");

/// Seconds that one download may take. Below a kilobyte per second for `STALL` seconds it ends earlier.
const ATTEMPT: u64 = 90;
const STALL: u64 = 15;
/// Of a file that an address may send: a larger one is cut, and then refused. In blocks of `ulimit -f`: 128 MiB where a
/// block has 512 bytes, as in POSIX, and 256 MiB in bash.
const BLOCKS: u64 = 256 << 10;

pub fn user_data(args: &UserDataArgs) -> u8 {
    match script(args).and_then(|text| print(&text)) {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}

fn script(args: &UserDataArgs) -> Result<String> {
    let policy = args.policy();
    policy.check("the flags")?;
    if policy.repository.as_deref().is_some_and(|at| !Fragment::is_address(at)) {
        let remedy = "give a URL: the instances read it";
        return Err(Error::new(Code::Usage, "reading --repository", "a directory is for dry runs only")
            .remedy(remedy));
    }
    if let Some(service) = &policy.service {
        let invalid = |error| Error::new(Code::Usage, "reading --service", error);
        Service::try_from(service.as_str()).map_err(invalid)?;
    }
    if policy.services.is_none() && policy.service.is_none() {
        tell(
            "note: without --services a tag may select every service of the repository's pattern that the AMI's policy allows",
        );
    }
    let flags: String = args.words().iter().map(|word| format!(" {}", quoted(word))).collect();
    match &args.download {
        Some(from) => {
            let sha256 = args.sha256.clone().map_or_else(machine::own_sha256, Ok)?;
            Ok(download(from, &sha256, args.within.0, &flags))
        }
        None => Ok(filled(INSTALLED, &[("{FLAGS}", &flags)])),
    }
}

fn download(from: &Download, sha256: &str, within: u64, flags: &str) -> String {
    let get = match from {
        Download::Https(_) => https(within.min(ATTEMPT)),
        Download::S3(_) => s3(within.min(ATTEMPT)),
    };
    let words = [
        ("{GET}", get.as_str()),
        ("{FROM}", &quoted(&from.to_string())),
        ("{SHA256}", sha256),
        ("{WITHIN}", &within.to_string()),
        ("{BLOCKS}", &BLOCKS.to_string()),
        ("{FLAGS}", flags),
    ];
    filled(DOWNLOAD, &words)
}

/// Redirections are refused: only busybox's wget, which has no flag for that, follows them. Its own TLS checks no certificate
/// either, and its `-T` crashes in Debian 12. When it is killed, the openssl that it started lives on: without standard error,
/// for which cloud-init would wait. The SHA-256 alone decides everywhere.
fn https(attempt: u64) -> String {
    let curl = format!(
        "curl -q -fsSL --max-redirs 0 --proto =https --connect-timeout {STALL} -m {attempt} -y {STALL} -Y 1000 -o \"$new\" \"$from\""
    );
    let wget = format!("timeout {attempt} wget -q $only -O \"$new\" \"$from\"");
    format!(
        "if command -v curl >/dev/null; then {curl}; else \
         case $(wget --help 2>&1) in *--max-redirect*) only='-T {STALL} -t 1 --max-redirect=0';; *) only=; exec 2>/dev/null;; esac; {wget}; fi"
    )
}

fn s3(attempt: u64) -> String {
    format!(
        "command -v aws >/dev/null || say 'this AMI has no AWS CLI: use one that has, or an https:// address'; \
         timeout {attempt} aws s3 cp --only-show-errors --cli-connect-timeout {STALL} --cli-read-timeout {STALL} \"$from\" \"$new\""
    )
}

/// The template with its words filled in; in what is filled in, nothing is replaced again.
fn filled(template: &str, words: &[(&str, &str)]) -> String {
    let words = words.iter().chain(&[("{VERSION}", env!("CARGO_PKG_VERSION"))]);
    let mut parts = vec![(template.to_owned(), true)];
    for (name, value) in words {
        parts = parts.into_iter().flat_map(|part| split(part, name, value)).collect();
    }
    parts.into_iter().map(|(text, _)| text).collect()
}

/// A part of the template that is still open, with each `name` replaced by `value`, which is closed.
fn split((text, is_open): (String, bool), name: &str, value: &str) -> Vec<(String, bool)> {
    if !is_open {
        return vec![(text, false)];
    }
    let mut found = Vec::new();
    for (index, piece) in text.split(name).enumerate() {
        found.extend((index > 0).then(|| (value.to_owned(), false)));
        found.push((piece.to_owned(), true));
    }
    found
}

/// A word for a POSIX shell: bare if it has only characters that no shell gives a meaning.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/:,=@+%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_a_template() {
        assert_eq!(filled("a {X} {Y} {X}", &[("{X}", "{Y}"), ("{Y}", "{X}")]), "a {Y} {X} {Y}");
    }

    #[test]
    fn words_are_quoted_unless_no_shell_gives_them_a_meaning() {
        for plain in ["auth-service,gmail", "https://a.example/b", "90s"] {
            assert_eq!(quoted(plain), plain);
        }
        for (word, expected) in
            [("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("{x}", "'{x}'"), ("~", "'~'")]
        {
            assert_eq!(quoted(word), expected);
        }
    }
}
