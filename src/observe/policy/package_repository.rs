//! What the tables `[apt.NAME]` and `[dnf.NAME]` have in common: checks of names, addresses and keys.

/// Whether a text has only letters, digits and these characters more.
pub(super) fn plain(text: &str, more: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
    !text.is_empty() && text.len() <= 200 && text.chars().all(fits)
}

/// The name of a repository: it becomes part of file names.
pub(super) fn is_name(text: &str) -> bool {
    plain(text, "-") && !text.starts_with('-')
}

pub(super) fn is_web(text: &str, schemes: &[&str]) -> bool {
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
    rest.is_some_and(|rest| plain(rest, "._-/:~+") && !rest.starts_with(['/', ':']))
}

/// Fails unless the key is a file of this machine, or at an address with a checksum. `setting` is its name in the policy.
pub(super) fn check_key(setting: &str, key: &str, sha256: Option<&str>) -> Result<(), String> {
    let is_path = key.starts_with('/') && plain(key, "._-/+") && !key.contains("/../");
    match (sha256, is_path) {
        (None, true) => Ok(()),
        (Some(sha256), false) if is_web(key, &["https://"]) => {
            let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
            match sha256.len() == 64 && sha256.bytes().all(hex) {
                true => Ok(()),
                false => Err(format!("{setting}_sha256 is not a SHA-256 (64 of 0-9 and a-f)")),
            }
        }
        _ => Err(format!(
            "{setting} is neither an absolute path of a key on this machine, nor an https:// address with {}_sha256",
            setting.rsplit('.').next().unwrap_or(setting)
        )),
    }
}
