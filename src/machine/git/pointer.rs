//! Pointers of Git LFS: what a repository has in place of a large file. Pure.

const VERSION: &str = "version https://git-lfs.github.com/spec/v1";
/// The upper bound for a pointer in the specification of Git LFS.
const LONGEST: usize = 1_024;

/// What stands in the repository in place of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pointer {
    /// SHA-256, 64 hexadecimal digits.
    pub(super) oid: String,
    pub(super) size: u64,
}

impl Pointer {
    /// Whether a file of this size may be a pointer.
    pub(super) fn may_have(size: usize) -> bool {
        (VERSION.len()..=LONGEST).contains(&size)
    }

    /// `None` if it is not a pointer; `Err` if it is a broken one.
    pub(super) fn read(content: &[u8]) -> Option<Result<Pointer, &'static str>> {
        let text = content.starts_with(VERSION.as_bytes()).then_some(content)?;
        let value =
            |name: &str| std::str::from_utf8(text).ok()?.lines().find_map(|line| line.strip_prefix(name));
        let is_hex =
            |oid: &&str| oid.len() == 64 && oid.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        let oid = value("oid sha256:").filter(is_hex);
        let size = value("size ").and_then(|size| size.parse().ok());
        let both = oid.zip(size).map(|(oid, size)| Pointer { oid: oid.to_owned(), size });
        Some(both.ok_or("it is a Git LFS pointer without a SHA-256 and a size"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_has_a_checksum_and_a_size() {
        let oid = "0123456789abcdef".repeat(4);
        let text = format!("{VERSION}\next-0-x sha256:00\noid sha256:{oid}\nsize 12345\n");
        assert_eq!(Pointer::read(text.as_bytes()), Some(Ok(Pointer { oid: oid.clone(), size: 12345 })));
        for broken in [
            format!("{VERSION}\noid sha256:00\nsize 1\n"),
            format!("{VERSION}\noid sha256:{}\nsize 1\n", oid.to_uppercase()),
            format!("{VERSION}\noid sha256:{}../../x\nsize 1\n", &oid[8..]),
            format!("{VERSION}\noid sha256:{oid}\nsize -1\n"),
            format!("{VERSION}\noid sha256:{oid}\n"),
        ] {
            assert!(Pointer::read(broken.as_bytes()).unwrap().is_err(), "{broken}");
        }
        assert_eq!(Pointer::read(b"see version https://git-lfs.github.com/spec/v1"), None);
    }
}
