//! Node's archives, whole: the real binary as a child, a real HTTPS server on the other side.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support"]
mod support {
    pub mod certificates;
    pub mod file_server;
}

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use bootagent::error::{Code, Result};
use bootagent::facts::Network;
use bootagent::machine::jail::ask::ask;
use bootagent::machine::jail::child::Role;
use bootagent::machine::jail::request::{ArchiveRequest, DocumentRequest, Timeouts};
use bootagent::plan::Checksum;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use support::certificates::Certificates;
use support::file_server::{File, FileServer};
use tar::{EntryType, Header};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const FILE: &str = "node-v22.20.0-linux-x64.tar.gz";

/// A mirror with one archive, and the empty directory that it goes to.
struct Mirror {
    certificates: Certificates,
    server: FileServer,
    directory: TempDir,
    stall: Duration,
}

impl Mirror {
    fn of(archive: Vec<u8>) -> Mirror {
        let certificates = Certificates::new("IP:127.0.0.1");
        let server = FileServer::https(&certificates);
        let list = format!("{}  other.tar.gz\n{}  {FILE}\n", "0".repeat(64), sha256(&archive));
        server.put("/v22.20.0/SHASUMS256.txt", File::Whole(list.into_bytes()));
        server.put(&format!("/v22.20.0/{FILE}"), File::Whole(archive));
        Mirror { certificates, server, directory: TempDir::new().unwrap(), stall: Duration::from_secs(20) }
    }

    fn put(&self, file: File) {
        self.server.put(&format!("/v22.20.0/{FILE}"), file);
    }

    fn network(&self) -> Network {
        let authority = self.certificates.authority().display().to_string();
        Network { ca_file: Some(authority.try_into().unwrap()), ..Network::default() }
    }

    fn timeouts(&self) -> Timeouts {
        Timeouts { stall: self.stall, ..Timeouts::default() }
    }

    fn listed(&self) -> Checksum {
        Checksum::Listed(format!("{}/v22.20.0/SHASUMS256.txt", self.server.url))
    }

    fn unpack(&self, checksum: Checksum) -> Result<()> {
        let request = ArchiveRequest {
            address: format!("{}/v22.20.0/{FILE}", self.server.url),
            checksum,
            directory: self.directory.path().to_owned(),
            program: "bin/node".into(),
            leave_out: vec!["bin/corepack".into(), "include".into()],
            network: self.network(),
            timeouts: self.timeouts(),
        };
        child(Role::Archive, &request)
    }

    fn document(&self) -> Result<String> {
        let (network, timeouts) = (self.network(), self.timeouts());
        let address = format!("{}/index.json", self.server.url);
        child(Role::Document, &DocumentRequest { address, most: 8 << 20, network, timeouts })
    }

    fn has(&self, path: &str) -> bool {
        self.directory.path().join(path).symlink_metadata().is_ok()
    }
}

fn child<T: serde::de::DeserializeOwned + Send + 'static>(
    role: Role,
    request: &impl serde::Serialize,
) -> Result<T> {
    let exe = Path::new(env!("CARGO_BIN_EXE_bootagent"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ask(exe, role, request, PATIENCE)).map_err(|error| error.in_public())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn entry(kind: EntryType, path: &str, mode: u32, content: &str) -> (Header, Vec<u8>) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    // As it is told, right or wrong: the crate's own setter would refuse some.
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    let content = match kind {
        EntryType::Symlink | EntryType::Link => {
            header.set_link_name_literal(content).unwrap();
            Vec::new()
        }
        _ => content.as_bytes().to_vec(),
    };
    header.set_size(content.len() as u64);
    header.set_cksum();
    (header, content)
}

/// The official layout, small, and what else the test puts into it.
fn node(more: Vec<(Header, Vec<u8>)>) -> Vec<u8> {
    use EntryType::{Directory, Regular, Symlink};
    let top = "node-v22.20.0-linux-x64";
    let of = |path: &str| format!("{top}/{path}");
    // It does not compress to nothing: transfers are to be cut in its middle.
    let noise: String = (0..4000u32).map(|number| sha256(&number.to_le_bytes())).collect();
    let entries = [
        entry(Directory, &of(""), 0o755, ""),
        entry(Regular, &of("README.md"), 0o664, "Node"),
        entry(Directory, &of("bin/"), 0o755, ""),
        entry(Symlink, &of("bin/npm"), 0o777, "../lib/node_modules/npm/bin/npm-cli.js"),
        entry(Symlink, &of("bin/corepack"), 0o777, "../lib/node_modules/corepack/corepack.js"),
        entry(Regular, &of("bin/node"), 0o4755, &noise),
        entry(Regular, &of("include/node/node.h"), 0o644, "#"),
        entry(Regular, &of("lib/node_modules/npm/bin/npm-cli.js"), 0o755, "npm"),
    ];
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (header, content) in entries.into_iter().chain(more) {
        tar.append(&header, &content[..]).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn an_archive_is_unpacked_without_what_is_not_needed() {
    let mirror = Mirror::of(node(Vec::new()));
    mirror.unpack(mirror.listed()).unwrap();
    let at = |path: &str| mirror.directory.path().join(path);
    assert_eq!(std::fs::read_to_string(at("bin/npm")).unwrap(), "npm");
    for (path, mode) in
        [("bin/node", 0o755), ("README.md", 0o644), ("lib/node_modules/npm/bin/npm-cli.js", 0o755)]
    {
        assert_eq!(at(path).metadata().unwrap().permissions().mode() & 0o7777, mode, "{path}");
    }
    assert!(!mirror.has("include") && !mirror.has("bin/corepack"));
}

#[test]
fn a_mirror_may_lead_on_but_not_to_plain_http() {
    let mirror = Mirror::of(node(Vec::new()));
    mirror.server.put("/elsewhere", File::Whole(node(Vec::new())));
    mirror.put(File::Moved(format!("{}/elsewhere", mirror.server.url)));
    mirror.unpack(mirror.listed()).unwrap();

    let mirror = Mirror::of(node(Vec::new()));
    mirror.put(File::Moved("http://127.0.0.1:9/node.tar.gz".to_owned()));
    let error = mirror.unpack(mirror.listed()).unwrap_err();
    assert_eq!(error.fault(), Some("runtime-untrusted"), "{error}");
}

#[test]
fn what_is_not_what_its_checksum_says_is_refused() {
    let archive = node(Vec::new());
    let mirror = Mirror::of(archive.clone());
    mirror.unpack(Checksum::Pinned(sha256(&archive))).unwrap();

    // The mirror's own list says that it is right; the policy's word is what counts.
    let mirror = Mirror::of(archive.clone());
    let error = mirror.unpack(Checksum::Pinned("0".repeat(64))).unwrap_err();
    assert_eq!(error.code(), Code::RuntimeChecksum, "{error}");
    assert!(error.to_string().contains(&sha256(&archive)), "{error}");

    let other = node(vec![entry(EntryType::Regular, "node-v22.20.0-linux-x64/lib/more", 0o644, "more")]);
    for bytes in [other, b"<html>please log in</html>".to_vec(), Vec::new()] {
        let mirror = Mirror::of(archive.clone());
        mirror.put(File::Whole(bytes));
        assert_eq!(mirror.unpack(mirror.listed()).unwrap_err().code(), Code::RuntimeChecksum);
    }

    let mirror = Mirror::of(archive);
    mirror.server.put("/v22.20.0/SHASUMS256.txt", File::Whole(b"no such line\n".to_vec()));
    assert_eq!(mirror.unpack(mirror.listed()).unwrap_err().code(), Code::RuntimeChecksum);
}

#[test]
fn transfers_that_fail_are_told_as_such() {
    let archive = node(Vec::new());
    for (file, code, cause) in [
        (File::Status(503), Code::RuntimeUnreachable, "503"),
        (File::Status(404), Code::RuntimeMissing, "404"),
        (File::Page, Code::RuntimeUnreachable, "an HTML page"),
        (File::EndsAfter(20_000, archive.clone()), Code::RuntimeUnreachable, ""),
        (File::StallsAfter(20_000, archive.clone()), Code::RuntimeUnreachable, "sent nothing for 1s"),
    ] {
        let mut mirror = Mirror::of(archive.clone());
        mirror.put(file);
        mirror.stall = Duration::from_secs(1);
        let error = mirror.unpack(mirror.listed()).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(cause), "{error}");
    }
    let mirror = Mirror::of(archive);
    let stranger = Mirror { certificates: Certificates::new("IP:127.0.0.1"), ..mirror };
    let error = stranger.unpack(stranger.listed()).unwrap_err();
    assert_eq!(error.fault(), Some("runtime-untrusted"), "{error}");
}

#[test]
fn what_an_archive_may_not_hold_is_refused_though_its_checksum_is_right() {
    use EntryType::{Char, Fifo, Link, Regular, Symlink};
    let top = "node-v22.20.0-linux-x64";
    let bad = [
        entry(Symlink, &format!("{top}/bin/evil"), 0o777, "/etc/passwd"),
        entry(Symlink, &format!("{top}/bin/evil"), 0o777, "../../evil"),
        entry(Link, &format!("{top}/bin/evil"), 0o755, &format!("{top}/bin/node")),
        entry(Fifo, &format!("{top}/bin/evil"), 0o644, ""),
        entry(Char, &format!("{top}/bin/evil"), 0o644, ""),
        entry(Regular, &format!("{top}/../evil"), 0o644, "evil"),
        entry(Regular, "/tmp/evil", 0o644, "evil"),
        entry(Regular, &format!("{top}/bin/node"), 0o755, "a second one"),
        entry(Regular, &format!("{top}/bin/npm/evil"), 0o755, "through a link"),
    ];
    for one in bad {
        let path = String::from_utf8_lossy(&one.0.path_bytes()).into_owned();
        let mirror = Mirror::of(node(vec![one]));
        let error = mirror.unpack(mirror.listed()).unwrap_err();
        assert_eq!(error.code(), Code::RuntimeArchive, "{path}: {error}");
        assert!(!mirror.has("bin/evil") && !mirror.has("../evil"), "{path}");
    }
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let (header, content) = entry(Regular, &format!("{top}/README.md"), 0o644, "only this");
    tar.append(&header, &content[..]).unwrap();
    let mirror = Mirror::of(tar.into_inner().unwrap().finish().unwrap());
    let error = mirror.unpack(mirror.listed()).unwrap_err();
    assert_eq!(error.code(), Code::RuntimeArchive);
    assert!(error.to_string().contains("no bin/node"), "{error}");
}

/// An entry whose headers take that much, and a plain one behind it.
fn with_headers(kind: EntryType, bytes: usize) -> Vec<u8> {
    let top = "node-v22.20.0-linux-x64";
    let content = match kind {
        // One record: its own length a name, a value.
        EntryType::XHeader => {
            let rest = format!(" comment={}\n", "x".repeat(bytes));
            format!("{}{rest}", rest.len() + rest.len().to_string().len())
        }
        _ => format!("{top}/{}\0", "x".repeat(bytes)),
    };
    node(vec![
        entry(kind, "././@LongLink", 0o644, &content),
        entry(EntryType::Regular, &format!("{top}/lib/more"), 0o644, "more"),
    ])
}

#[test]
fn headers_have_an_end() {
    use EntryType::{GNULongLink, GNULongName, XHeader};
    for kind in [XHeader, GNULongName, GNULongLink] {
        for bytes in [70_000, 20 << 20] {
            let mirror = Mirror::of(with_headers(kind, bytes));
            let error = mirror.unpack(mirror.listed()).unwrap_err();
            assert_eq!(error.fault(), Some("runtime-unusable"), "{kind:?}: {error}");
            assert!(error.to_string().contains("headers of an entry are over 64 KiB"), "{kind:?}: {error}");
        }
        let mirror = Mirror::of(with_headers(kind, 200));
        mirror.unpack(mirror.listed()).unwrap();
    }
    // What is long is the content: also of what is left out, and of what says something of the whole archive.
    let long = "x".repeat(200_000);
    let mirror = Mirror::of(node(vec![
        entry(EntryType::XGlobalHeader, "pax_global_header", 0o644, &long),
        entry(EntryType::Regular, "node-v22.20.0-linux-x64/include/long", 0o644, &long),
        entry(EntryType::Regular, "node-v22.20.0-linux-x64/lib/long", 0o644, &long),
    ]));
    mirror.unpack(mirror.listed()).unwrap();
    assert!(mirror.has("lib/long") && !mirror.has("include"));
}

#[test]
fn a_document_is_brought_as_it_is_and_no_longer_than_it_may_be() {
    let mirror = Mirror::of(Vec::new());
    mirror.server.put("/index.json", File::Whole(b"[1]".to_vec()));
    assert_eq!(mirror.document().unwrap(), "[1]");
    for unusable in [b"\xff".to_vec(), vec![b' '; 9 << 20]] {
        mirror.server.put("/index.json", File::Whole(unusable));
        assert_eq!(mirror.document().unwrap_err().code(), Code::RuntimeArchive);
    }
    mirror.server.put("/index.json", File::Page);
    assert_eq!(mirror.document().unwrap_err().code(), Code::RuntimeUnreachable, "it is under maintenance");
    mirror.server.put("/index.json", File::Status(502));
    assert_eq!(mirror.document().unwrap_err().code(), Code::RuntimeUnreachable);
}
