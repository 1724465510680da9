//! OpenSSH's own server on 127.0.0.1, one process for each connection, in front of the real git.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

/// What goes wrong, as the server's shell says it; `$SSH_ORIGINAL_COMMAND` is what the client asked for.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    None,
    /// Before ssh itself says a word: the connection stays open, or is closed.
    Mute,
    Closed,
    /// In the middle of the pack: nothing more, or the end.
    StallAfter(usize),
    EndAfter(usize),
    /// Instead of git.
    Says(&'static str),
}

pub struct SshServer {
    pub port: u16,
    /// As a line of known_hosts.
    pub host_key: String,
    directory: TempDir,
    connections: Arc<AtomicUsize>,
}

impl SshServer {
    /// Refuses every login until a key is authorized.
    pub fn new(host_key_kind: &str, fault: Fault) -> SshServer {
        let directory = TempDir::new().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir_all(at("run/sshd")).unwrap();
        std::fs::set_permissions(at("run/sshd"), PermissionsExt::from_mode(0o755)).unwrap();
        let host_key = make_key(&at("run/host_key"), &["-t", host_key_kind]);
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let users = "sshd:*:65532:65534::/run/sshd:/usr/sbin/nologin\ngit:*:0:0::/:/bin/sh\n";
        std::fs::write(at("passwd"), passwd + users).unwrap();
        std::fs::write(at("run/serve"), script(fault)).unwrap();
        let configuration = "HostKey /run/host_key\nAuthorizedKeysFile /run/authorized_keys\nStrictModes no\n\
             PermitRootLogin prohibit-password\nUsePAM no\nUseDNS no\nPidFile none\n\
             AuthenticationMethods publickey\nForceCommand sh /run/serve\n";
        std::fs::write(at("run/sshd_config"), configuration).unwrap();
        std::fs::write(at("run/authorized_keys"), "").unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, stage) = (Arc::clone(&connections), directory.path().to_owned());
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                match fault {
                    Fault::Mute => kept.push(stream),
                    Fault::Closed => drop(stream),
                    _ => sshd(&stage, stream.into()),
                }
            }
        });
        SshServer { port, host_key: format!("[127.0.0.1]:{port} {host_key}"), directory, connections }
    }

    /// A line of `authorized_keys`.
    pub fn authorize(self, public: &str) -> SshServer {
        std::fs::write(self.directory.path().join("run/authorized_keys"), public).unwrap();
        self
    }

    pub fn url(&self, repository: &Path) -> String {
        format!("ssh://git@127.0.0.1:{}{}", self.port, repository.display())
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What sshd said of its clients.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

/// A private key at `path`, made by ssh-keygen; its public half is returned without a comment.
pub fn make_key(path: &Path, arguments: &[&str]) -> String {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "", "-f"])
        .arg(path)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("ssh-keygen is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read_to_string(path.with_extension("pub")).unwrap().trim().to_owned()
}

fn script(fault: Fault) -> String {
    let git = "git shell -c \"$SSH_ORIGINAL_COMMAND\"";
    match fault {
        Fault::StallAfter(bytes) => format!("{git} | {{ head -c {bytes}; sleep 60; }}\n"),
        Fault::EndAfter(bytes) => format!("{git} | {{ head -c {bytes}; kill -9 $$; }}\n"),
        Fault::Says(words) => format!("{words}\n"),
        _ => format!("exec {git}\n"),
    }
}

/// It insists on a user, a directory and a privileged parent: it gets them where no other process sees them.
fn sshd(stage: &Path, connection: OwnedFd) {
    let log = std::fs::File::options().create(true).append(true).open(stage.join("log")).unwrap();
    let package = package();
    let binds =
        "mount --bind \"$1/passwd\" /etc/passwd && mount --bind \"$1/run\" /run && shift && exec \"$@\"";
    let mut child = Command::new("unshare")
        .args(["--mount", "sh", "-c", binds, "sh"])
        .arg(stage)
        .arg(package.join("usr/sbin/sshd"))
        .args(["-i", "-e", "-f", "/run/sshd_config"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LD_LIBRARY_PATH", package.join("usr/lib/x86_64-linux-gnu"))
        .stdin(connection.try_clone().unwrap())
        .stdout(connection)
        .stderr(log)
        .spawn()
        .unwrap();
    std::thread::spawn(move || child.wait());
}

/// Debian's package, unpacked and not installed: no service is started for a test.
fn package() -> PathBuf {
    static ONCE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    ONCE.get_or_init(|| {
        let lab = std::env::var_os("LAB_CACHE").map(PathBuf::from);
        let lab =
            lab.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/lab")).join("sshd");
        let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sshd");
        for there in [PathBuf::from("/"), lab, own.clone()] {
            if there.join("usr/sbin/sshd").exists() {
                return there;
            }
        }
        let work = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let unpack =
            "apt-get -qq download openssh-server libwrap0 && for deb in *.deb; do dpkg -x \"$deb\" .; done";
        let done = Command::new("sh").args(["-c", unpack]).current_dir(work.path()).status().unwrap();
        assert!(done.success(), "openssh-server could not be fetched");
        // Another test may have been quicker.
        let _ = std::fs::rename(work.path(), &own);
        own
    })
    .clone()
}
