//! Amounts of memory as docker has them: `512m`, `1.5gb`, `64MiB`, `67108864`. Pure.

/// In bytes, rounded down; `None` if docker does not take it. All units are powers of 1024.
pub fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole = u128::from(whole.parse::<u64>().ok()?) << shift;
    let tenths = u32::try_from(fraction.len()).ok()?;
    let part = match fraction {
        "" => 0,
        digits => (u128::from(digits.parse::<u64>().ok()?) << shift) / 10_u128.pow(tenths),
    };
    u64::try_from(whole + part).ok()
}

pub fn is_one(text: &str) -> bool {
    bytes(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_docker_reads_them() {
        for (text, read) in [
            ("67108864", Some(64 << 20)),
            ("64m", Some(64 << 20)),
            ("64M", Some(64 << 20)),
            ("64mb", Some(64 << 20)),
            ("64MiB", Some(64 << 20)),
            ("1.5g", Some(3 << 29)),
            ("1.g", Some(1 << 30)),
            ("0.5kb", Some(512)),
            ("2b", Some(2)),
            ("", None),
            ("m", None),
            (".5g", None),
            ("-1", None),
            ("1.2.3m", None),
            ("64mm", None),
            ("64bi", None),
            ("64 m", None),
            ("64é", None),
            ("999999999999999t", None),
        ] {
            assert_eq!(bytes(text), read, "{text}");
        }
    }
}
