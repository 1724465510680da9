//! The known key that was probably meant.

/// Of `known`, the one that `key` is a slip of. Long keys are not compared: the comparison takes quadratic time.
pub fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    const LONGEST: usize = 40;
    // At most a third of the letters may differ, and two swapped neighbours count once: `prot` is near `port`, and
    // `instal` near `install`, but not `user` near `secret`.
    let near = |name: &&&str| strsim::osa_distance(key, name) <= (name.len().max(3) / 3).max(1);
    let close = known.iter().filter(|name| key.len() <= LONGEST && near(name));
    close.min_by_key(|name| strsim::osa_distance(key, name)).copied()
}
