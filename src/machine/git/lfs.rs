//! Files of Git LFS: what a pointer says, and the download of the files that it stands for. The download runs in the
//! fetch's child process, over https only and with the repository's credential.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ureq::http::StatusCode;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};

use super::address::Address;
use super::address::Moved;
use super::http::Session;
use super::inspect::{Item, shown};
use super::modules::address_of;
use super::pointer::Pointer;
use super::request::FetchRequest;
use super::ssh;
use crate::error::{Code, Coded, Error, Result};
use crate::secret::ForeignText;

const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";
/// Objects that are asked for at once. GitHub's limit.
const BATCH: usize = 100;
/// In bytes: 100 objects with signed addresses.
const LONGEST_ANSWER: u64 = 4 << 20;
const LONGEST_HEADER: usize = 8 << 10;

/// Where the file of a pointer is, below the repository of the fetch.
pub(super) fn path(repository: &Path, pointer: &Pointer) -> PathBuf {
    repository.join("bootagent-lfs").join(&pointer.oid)
}

pub(super) fn refused(path: &str, why: &str) -> Error {
    Error::new(
        Code::SourceLfs,
        format!("fetching the Git LFS file {}", shown(path)),
        ForeignText::message(why),
    )
}

/// Downloads the files of all pointers. `base` is the repository's address; each submodule has its own LFS store. A
/// repository that has moved has it at its new address.
pub(super) fn fetch(
    request: &FetchRequest,
    repository: &Path,
    (base, moved): (&str, &Moved),
    items: &[Item],
) -> Result<()> {
    let mut stores: BTreeMap<&[String], Vec<(&Item, &Pointer)>> = BTreeMap::new();
    for item in items {
        if let Some(pointer) = &item.lfs {
            stores.entry(&item.within).or_default().push((item, pointer));
        }
    }
    if stores.is_empty() {
        return Ok(());
    }
    let directory = repository.join("bootagent-lfs");
    std::fs::create_dir(&directory).doing(|| format!("making {}", directory.display()))?;
    for (urls, wanted) in stores {
        let (first, _) = wanted[0];
        let address = address_of(base, urls).map_err(|why| refused(&first.path, &why))?;
        if ssh::Address::claims(&address) {
            return Err(refused(&first.path, "the repository is fetched over ssh, and Git LFS only over https")
                .remedy("write the repository's address with https:// and store a token, or store the file itself in git"));
        }
        Store::new(request, moved.get(&address).unwrap_or(&address))?.fetch(repository, &wanted)?;
    }
    Ok(())
}

/// The LFS store of one repository.
struct Store {
    session: Session,
    address: String,
}

impl Store {
    fn new(request: &FetchRequest, address: &str) -> Result<Store> {
        let session = Session::new(
            Address::parse(address)?,
            request.credential.as_ref(),
            &request.network,
            &request.timeouts,
            request.limits.tree_bytes,
        )?;
        let address = address.trim_end_matches('/');
        let git = if address.ends_with(".git") { "" } else { ".git" };
        Ok(Store { session, address: format!("{address}{git}/info/lfs/objects/batch") })
    }

    fn fetch(&self, repository: &Path, wanted: &[(&Item, &Pointer)]) -> Result<()> {
        let mut done = BTreeSet::new();
        for batch in wanted.chunks(BATCH) {
            let answer = self.ask(batch)?;
            for (item, pointer) in batch {
                let to = path(repository, pointer);
                // Equal files have one object, which another submodule may have, too.
                if done.insert(&pointer.oid) && !to.exists() {
                    self.download(item, pointer, &answer, &to).map_err(|error| self.session.hiding(error))?;
                }
            }
        }
        Ok(())
    }

    fn ask(&self, batch: &[(&Item, &Pointer)]) -> Result<Answer> {
        let objects = batch.iter().map(|(_, Pointer { oid, size })| Wanted { oid: oid.clone(), size: *size });
        let ask = Ask { operation: "download", transfers: ["basic"], objects: objects.collect() };
        let body = serde_json::to_vec(&ask)
            .map_err(|error| Error::new(Code::Bug, "asking for Git LFS files", error))?;
        let (item, _) = batch[0];
        let mut request = self.session.agent().post(&self.address).header(ACCEPT, MEDIA_TYPE);
        request = request.header(CONTENT_TYPE, MEDIA_TYPE);
        if let Some(authorization) = self.session.authorization() {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = request.send(&body).map_err(|error| self.session.unreachable(&error))?;
        match response.status().as_u16() {
            200 => {}
            404 | 410 | 422 | 501 => {
                let cause = format!("the server has no Git LFS for this repository ({})", response.status());
                return Err(refused(&item.path, &cause));
            }
            _ => return Err(self.session.refused(response.status())),
        }
        let text = response.into_body().into_with_config().limit(LONGEST_ANSWER).read_to_string();
        let text = text.map_err(|error| self.session.unreachable(&error))?;
        // serde's message could quote an address with a signature.
        serde_json::from_str(&text)
            .map_err(|_| refused(&item.path, "the server's answer is not one of Git LFS"))
    }

    fn download(&self, item: &Item, pointer: &Pointer, answer: &Answer, to: &Path) -> Result<()> {
        let failed = |why: &str| refused(&item.path, why);
        let found = answer.objects.iter().find(|object| object.oid == pointer.oid);
        let found = found.ok_or_else(|| failed("the server's answer does not have it"))?;
        if let Some(error) = &found.error {
            return Err(failed(&format!("the server answers {}: {}", error.code, error.message)));
        }
        let action = found.actions.as_ref().and_then(|actions| actions.download.as_ref());
        let action = action.ok_or_else(|| failed("the server names no place to download it from"))?;
        if !action.href.starts_with("https://") {
            return Err(failed("the server names a place that is not https"));
        }
        let mut request = self.session.agent().get(&action.href);
        let has_login = action.header.keys().any(|name| name.eq_ignore_ascii_case("authorization"));
        for (name, value) in action.header.iter().filter(|(_, value)| value.len() <= LONGEST_HEADER) {
            request = request.header(name.as_str(), value.as_str());
        }
        // Never to another server: the address there is signed.
        if let Some(authorization) = self.session.authorization().filter(|_| !has_login)
            && self.session.is_at(&action.href)
        {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.config().max_redirects(3).https_only(true).build();
        let response = request.call().map_err(|error| self.session.unreachable(&error))?;
        if response.status().as_u16() != 200 {
            return Err(self.not_served(item, &action.href, response.status()));
        }
        let mut body = response.into_body().into_reader();
        let part = to.with_extension("part");
        let doing = || format!("writing {}", part.display());
        let mut file = File::create_new(&part).doing(doing)?;
        match copy(&mut body, &mut file, pointer) {
            Ok(true) => {}
            Ok(false) => return Err(failed("what the server sends is not the file that the pointer names")),
            Err(Copying::Write(error)) => return Err(error).doing(doing),
            Err(Copying::Read(error)) => return Err(self.session.broken_off(error)),
        }
        std::fs::rename(&part, to).doing(doing)
    }
}

impl Store {
    /// The error of a server that does not give a file. Another server than the repository's knows no credential: it gets
    /// a signed address.
    fn not_served(&self, item: &Item, href: &str, status: StatusCode) -> Error {
        let temporary = matches!(status.as_u16(), 408 | 425 | 429 | 500..);
        if temporary || self.session.is_at(href) {
            return self.session.refused(status);
        }
        let server = href.trim_start_matches("https://").split(['/', '?']).next().unwrap_or_default();
        // Without a password in front of it.
        let server = server.rsplit('@').next().unwrap_or_default();
        refused(&item.path, &format!("the storage server {server}, which the repository's server names, answers {status}"))
            .remedy("is the file there (git lfs fetch --all in a new clone)? its address is signed by the repository's server and ends soon")
    }
}

pub(super) enum Copying {
    Read(io::Error),
    Write(io::Error),
}

/// Copies the file of a pointer. Returns whether its size and checksum are the pointer's.
pub(super) fn copy(from: &mut impl Read, to: &mut impl Write, pointer: &Pointer) -> Result<bool, Copying> {
    let (mut left, mut digest, mut buffer) = (pointer.size, Sha256::new(), vec![0; 64 << 10]);
    loop {
        let count = from.read(&mut buffer).map_err(Copying::Read)?;
        if count == 0 {
            break;
        }
        let Some(rest) = left.checked_sub(count as u64) else { return Ok(false) };
        left = rest;
        digest.update(&buffer[..count]);
        to.write_all(&buffer[..count]).map_err(Copying::Write)?;
    }
    let sum: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(left == 0 && sum == pointer.oid)
}

#[derive(Serialize)]
struct Ask {
    operation: &'static str,
    transfers: [&'static str; 1],
    objects: Vec<Wanted>,
}

#[derive(Serialize)]
struct Wanted {
    oid: String,
    size: u64,
}

#[derive(Deserialize)]
struct Answer {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    actions: Option<Actions>,
    error: Option<ObjectError>,
}

#[derive(Deserialize)]
struct ObjectError {
    code: u16,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Actions {
    download: Option<Download>,
}

#[derive(Deserialize)]
struct Download {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_file_that_the_pointer_names_is_copied() {
        let of = |text: &[u8], size: u64| {
            let oid = Sha256::digest(b"content").iter().map(|byte| format!("{byte:02x}")).collect();
            copy(&mut &text[..], &mut Vec::new(), &Pointer { oid, size }).ok()
        };
        assert_eq!(of(b"content", 7), Some(true));
        for (text, size) in [(&b"contenT"[..], 7), (b"content", 8), (b"content and more", 7), (b"", 7)] {
            assert_eq!(of(text, size), Some(false));
        }
    }
}
