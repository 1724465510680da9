//! Objects of S3 that are larger than what fits into memory: read in parts into a file, and written from one. The caller
//! checks what it contains.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::Imds;
use super::payload::{Payload, Sent};
use super::s3::{self, Access, Asked, Put, ask};
use crate::error::{Coded, Result};
use crate::facts::S3Object;
use crate::fault::Fault;
use crate::machine::blocking;

/// Bytes of one part: each is held in memory.
const PART: u64 = 8 << 20;
/// The time limit of one part; at S3's usual speed it takes a second.
const PART_TIME: Duration = Duration::from_secs(30);
/// The time limit of a write.
const WRITE_TIME: Duration = Duration::from_secs(300);

/// Writes the object to a new file, and returns its age in seconds by S3's clock; `None` if it is absent. Fails if it has more than
/// `most` bytes. An object that is replaced meanwhile gives a mixture.
pub async fn download(
    imds: &Imds,
    at: &S3Object,
    most: u64,
    to: &Path,
    access: Access<'_>,
) -> Result<Option<u64>> {
    let keeping = || format!("keeping {at}");
    let mut file = File::options().write(true).create_new(true).mode(0o644).open(to).doing(keeping)?;
    let (mut from, mut age) = (0, None);
    loop {
        let Some(part) = part(imds, at, from, PART, access).await? else { return Ok(age) };
        age = age.or(Some(part.age));
        if part.whole > most {
            let cause = format!("it has {} bytes; the limit is {most}", part.whole);
            return Err(Fault::FleetRefused.error(format!("reading {at}"), cause));
        }
        file.write_all(&part.bytes).doing(keeping)?;
        from += part.bytes.len() as u64;
        if from >= part.whole || part.bytes.is_empty() {
            return Ok(age);
        }
    }
}

/// Bytes of an object.
struct Part {
    bytes: Bytes,
    /// How many bytes the whole object has.
    whole: u64,
    /// Seconds since the object was written, by S3's clock.
    age: u64,
}

/// At most `most` bytes of the object, from this one on; `None` if it is absent.
async fn part(imds: &Imds, at: &S3Object, from: u64, most: u64, access: Access<'_>) -> Result<Option<Part>> {
    let range = vec![("range", format!("bytes={from}-{}", from + most - 1))];
    let asked = Asked { headers: range, limit: PART_TIME, is_binary: true, ..Asked::of(at) };
    let answer = ask(imds, access, at, asked, || format!("reading {at}")).await?;
    let age = s3::object(&answer, String::new()).age;
    let bytes = answer.part.clone();
    Ok(match answer.status {
        404 => None,
        416 => Some(Part { bytes: Bytes::new(), whole: from, age }),
        // Without a range, it is the whole object.
        _ => Some(Part { whole: s3::whole(&answer).unwrap_or(bytes.len() as u64), bytes, age }),
    })
}

/// Writes a file as an object, if there is none yet.
async fn put_file(imds: &Imds, at: &S3Object, sent: &Sent, access: Access<'_>) -> Result<Put> {
    let headers = vec![
        ("content-length", sent.length.to_string()),
        ("content-type", "application/octet-stream".to_owned()),
        ("if-none-match", "*".to_owned()),
    ];
    let body = Payload::File(sent.clone());
    let asked = Asked { method: "PUT", headers, body, limit: WRITE_TIME, ..Asked::of(at) };
    let answer = ask(imds, access, at, asked, || format!("writing {at}")).await?;
    Ok(match answer.status {
        412 | 404 => Put::Refused,
        _ => Put::Written(answer.etag.unwrap_or_default()),
    })
}

/// Whether there is an object. Only its first byte is read.
pub async fn exists(imds: &Imds, at: &S3Object, access: Access<'_>) -> Result<bool> {
    Ok(part(imds, at, 0, 1, access).await?.is_some())
}

/// Writes the file of at most `most` bytes as an object, unless there is one already.
pub async fn upload(imds: &Imds, at: &S3Object, from: &Path, most: u64, access: Access<'_>) -> Result<Put> {
    let path = from.to_owned();
    let sent =
        blocking(move || Sent::of(&path, most).doing(|| format!("reading {}", path.display()))).await?;
    put_file(imds, at, &sent, access).await
}
