//! A short name for a list of texts: tools with other files get another directory.

use sha2::{Digest, Sha256};

/// 8 hexadecimal digits of the SHA-256 of all texts and their lengths.
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
