//! A key that may sign commits, in the form of a line of ssh's `allowed_signers`.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::names::NameError;

/// The namespace of git's signatures.
pub const NAMESPACE: &str = "git";
const RSA: &str = "ssh-rsa";
/// A modulus of 2048 bits, with the zero byte in front. Shorter keys can be factored.
const SHORTEST_RSA: usize = 257;
/// The accepted key types, and the number of strings of which such a key consists.
const KINDS: [(&str, usize); 7] = [
    ("ssh-ed25519", 2),
    ("ecdsa-sha2-nistp256", 3),
    ("ecdsa-sha2-nistp384", 3),
    ("ecdsa-sha2-nistp521", 3),
    (RSA, 3),
    ("sk-ssh-ed25519@openssh.com", 3),
    ("sk-ecdsa-sha2-nistp256@openssh.com", 4),
];

/// `alice@example.com ssh-ed25519 AAAA...`, with the options `namespaces`, `valid-after` and `valid-before` before the
/// key's type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signer {
    line: String,
    principal: String,
    blob: Vec<u8>,
    after: Option<u64>,
    before: Option<u64>,
}

/// Whether a key may have signed at a certain time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    Valid,
    NotYet,
    Expired,
}

impl Signer {
    /// Who signs with it: an address, or several with commas.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// The public key in the encoding of ssh's protocol.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// `time`: seconds since 1970.
    pub fn validity(&self, time: u64) -> Validity {
        match (self.after, self.before) {
            (Some(after), _) if time < after => Validity::NotYet,
            (_, Some(before)) if time >= before => Validity::Expired,
            _ => Validity::Valid,
        }
    }

    fn read(line: &str) -> Result<Signer, String> {
        let words = words(line)?;
        let is_kind = |word: &String| KINDS.iter().any(|(kind, _)| kind == word);
        let (principal, options, rest) = match words.as_slice() {
            [principal, rest @ ..] if rest.first().is_some_and(is_kind) => (principal, None, rest),
            [principal, options, rest @ ..] if rest.first().is_some_and(is_kind) => {
                (principal, Some(options), rest)
            }
            _ => return Err(format!("it is not: principal, key type and key; key types: {}", kinds())),
        };
        let plain = |c: char| c.is_ascii_graphic() && !"\"*?!".contains(c);
        if principal.len() > 200 || !principal.chars().all(plain) {
            return Err("its principal is not an address (no patterns)".to_owned());
        }
        let [kind, key, ..] = rest else { return Err("it has no key".to_owned()) };
        let mut signer = Signer {
            line: String::new(),
            principal: principal.clone(),
            blob: blob(kind, key)?,
            after: None,
            before: None,
        };
        for option in options.map(|options| split(options, ',')).unwrap_or_default() {
            signer.take(&option)?;
        }
        let options = options.map(|options| format!("{options} ")).unwrap_or_default();
        signer.line = format!("{principal} {options}{kind} {key}");
        Ok(signer)
    }

    fn take(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value.trim_matches('"');
        match name.to_ascii_lowercase().as_str() {
            "namespaces" if value.split(',').any(|one| one == NAMESPACE) => {}
            "namespaces" => return Err(format!("its key is not for commits: namespaces has no {NAMESPACE}")),
            "valid-after" => self.after = Some(time(value)?),
            "valid-before" => self.before = Some(time(value)?),
            "cert-authority" => {
                return Err("certificates are not supported: name the signers' keys".to_owned());
            }
            _ => return Err("it has an option that allowed_signers does not have".to_owned()),
        }
        Ok(())
    }
}

fn kinds() -> String {
    KINDS.map(|(kind, _)| kind).join(", ")
}

/// The words of a line. Blanks in quotes do not end a word.
fn words(line: &str) -> Result<Vec<String>, String> {
    if line.chars().any(char::is_control) {
        return Err("it has a line break or another control character".to_owned());
    }
    Ok(split(line, ' ').into_iter().filter(|word| !word.is_empty()).collect())
}

fn split(text: &str, at: char) -> Vec<String> {
    let mut quoted = false;
    let parts = text.split(|c: char| {
        quoted ^= c == '"';
        c == at && !quoted
    });
    parts.map(str::to_owned).collect()
}

fn blob(kind: &str, key: &str) -> Result<Vec<u8>, String> {
    let blob = BASE64.decode(key.as_bytes()).map_err(|_| "its key is not base64")?;
    let strings = strings(&blob).unwrap_or_default();
    let expected = KINDS.iter().find(|(name, _)| *name == kind).map(|(_, count)| *count);
    if strings.first() != Some(&kind.as_bytes()) || Some(strings.len()) != expected {
        return Err("its key is damaged, or not of the type that the line names".to_owned());
    }
    if kind == RSA && strings[2].len() < SHORTEST_RSA {
        return Err("its RSA key has less than 2048 bits".to_owned());
    }
    Ok(blob)
}

/// The strings of ssh's protocol of which a key consists: each a length of 32 bits, and as many bytes.
fn strings(mut rest: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (length, more) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (string, more) = more.split_at_checked(length)?;
        found.push(string);
        rest = more;
    }
    Some(found)
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, perhaps with a `Z`: always UTC. In seconds since 1970.
fn time(text: &str) -> Result<u64, String> {
    let bad = || "valid-after and valid-before are times like 20270131 or 202701311200Z, in UTC".to_owned();
    let digits = text.strip_suffix('Z').unwrap_or(text);
    if ![8, 12, 14].contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let number =
        |from: usize, to: usize| digits.get(from..to).and_then(|part| part.parse().ok()).unwrap_or(0u64);
    let (year, month, day) = (number(0, 4), number(4, 6), number(6, 8));
    let (hour, minute, second) = (number(8, 10), number(10, 12), number(12, 14));
    let fits = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    match fits {
        true => Ok(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second),
        false => Err(bad()),
    }
}

/// Days since 1970-01-01. The year begins in March here, so that the leap day is its last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let to_march_1970 = 719_468;
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - to_march_1970
}

impl TryFrom<String> for Signer {
    type Error = NameError;

    fn try_from(line: String) -> Result<Self, NameError> {
        Signer::read(&line).map_err(|why| NameError::of(&line, &format!("a line of allowed_signers ({why})")))
    }
}

impl From<Signer> for String {
    fn from(signer: Signer) -> String {
        signer.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    fn read(line: &str) -> Result<Signer, NameError> {
        Signer::try_from(line.to_owned())
    }

    #[test]
    fn a_line_names_a_signer_and_when_the_key_is_valid() {
        let plain = read(&format!("  alice@example.com   ssh-ed25519 {KEY} her laptop")).unwrap();
        assert_eq!((plain.principal(), plain.blob().len()), ("alice@example.com", 51));
        assert_eq!(plain.validity(0), Validity::Valid);
        let line = String::from(plain.clone());
        assert_eq!(line, format!("alice@example.com ssh-ed25519 {KEY}"));
        assert_eq!(read(&line).unwrap(), plain);

        let options = "namespaces=\"file,git\",valid-after=\"20260101Z\",valid-before=\"202607011230\"";
        let timed = read(&format!("a@b,c@d {options} ssh-ed25519 {KEY}")).unwrap();
        assert_eq!(timed.validity(1_767_225_599), Validity::NotYet);
        assert_eq!(timed.validity(1_767_225_600), Validity::Valid);
        assert_eq!(timed.validity(1_782_909_000), Validity::Expired);
        assert_eq!(timed.validity(1_782_908_999), Validity::Valid);
        assert_eq!(read(&String::from(timed.clone())).unwrap(), timed);
    }

    #[test]
    fn times_are_utc() {
        for (text, seconds) in [
            ("19700101", 0),
            ("20000229", 951_782_400),
            ("20000301Z", 951_868_800),
            ("20261129095832Z", 1_795_946_312),
        ] {
            assert_eq!(time(text), Ok(seconds), "{text}");
        }
        for bad in ["", "2026", "20261329", "20260132", "2026010124", "202601012460", "tomorrow", "+0260101"]
        {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_that_is_not_one_key_of_one_signer_is_refused() {
        let short_rsa = [&b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01\0\0\0\x81"[..], &[0x55; 129]].concat();
        for line in [
            String::new(),
            "alice@example.com".to_owned(),
            format!("ssh-ed25519 {KEY}"),
            format!("alice@example.com {KEY}"),
            format!("* ssh-ed25519 {KEY}"),
            format!("*@example.com ssh-ed25519 {KEY}"),
            format!("a@b cert-authority ssh-ed25519 {KEY}"),
            format!("a@b namespaces=\"file\" ssh-ed25519 {KEY}"),
            format!("a@b valid-before=\"soon\" ssh-ed25519 {KEY}"),
            format!("a@b no-such-option ssh-ed25519 {KEY}"),
            format!("a@b ssh-dss {KEY}"),
            format!("a@b ssh-rsa {KEY}"),
            format!("a@b ssh-ed25519 {}", &KEY[..60]),
            format!("a@b ssh-ed25519 {KEY}\nc@d ssh-ed25519 {KEY}"),
            format!("a@b ssh-rsa {}", BASE64.encode(&short_rsa)),
            "a@b ssh-ed25519".to_owned(),
            "a@b ssh-ed25519 ???".to_owned(),
        ] {
            assert!(read(&line).is_err(), "{line} was accepted");
        }
    }
}
