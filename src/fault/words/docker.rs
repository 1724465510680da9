//! Maps messages of docker's client and daemon to faults.

use super::{Complaint, Fault, first_match};
use crate::secret::{ForeignText, Message};

/// Words in the messages, and the fault that each shows. The first row that matches counts.
const TABLE: &[(&str, Fault)] = &[
    ("Cannot connect to the Docker daemon", Fault::EngineFailed),
    ("permission denied while trying to connect to the Docker daemon", Fault::EngineFailed),
    ("no space left on device", Fault::DiskFull),
    ("toomanyrequests", Fault::ImageUnreachable),
    ("no basic auth credentials", Fault::ImageRefused),
    ("requested access to the resource is denied", Fault::ImageRefused),
    ("pull access denied", Fault::ImageRefused),
    ("unauthorized:", Fault::ImageRefused),
    ("401 Unauthorized", Fault::ImageRefused),
    ("403 Forbidden", Fault::ImageRefused),
    ("manifest unknown", Fault::ImageMissing),
    ("name unknown", Fault::ImageMissing),
    ("no matching manifest for", Fault::ImageMissing),
    ("failed to resolve reference", Fault::ImageMissing),
    ("x509: ", Fault::ImageUntrusted),
    ("server gave HTTP response to HTTPS client", Fault::ImageUntrusted),
    ("no such host", Fault::ImageUnreachable),
    ("server misbehaving", Fault::ImageUnreachable),
    ("connection refused", Fault::ImageUnreachable),
    ("connection reset", Fault::ImageUnreachable),
    ("i/o timeout", Fault::ImageUnreachable),
    ("TLS handshake timeout", Fault::ImageUnreachable),
    ("Client.Timeout exceeded", Fault::ImageUnreachable),
    ("network is unreachable", Fault::ImageUnreachable),
    ("500 Internal Server Error", Fault::ImageUnreachable),
    ("502 Bad Gateway", Fault::ImageUnreachable),
    ("503 Service Unavailable", Fault::ImageUnreachable),
    ("unexpected EOF", Fault::ImageUnreachable),
];

pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    // A build's own output has the same words: the daemon's last message is the reason.
    let reason = lines.iter().rev().find(|line| !line.is_blank()).cloned();
    let last: Vec<ForeignText> = reason.into_iter().collect();
    let (fault, line) = first_match(&last, TABLE).map(|(fault, line)| (fault, line.trimmed()))?;
    Some(Complaint::new(fault, Message::from("docker says: ").and(line)))
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn messages_of_the_daemon_show_their_fault() {
        let fault = |text| read(complaint, text).map(|(fault, ..)| fault);
        for (text, expected) in [
            (
                "Error response from daemon: manifest for acme/api:9 not found: manifest unknown: manifest unknown",
                Fault::ImageMissing,
            ),
            (
                "Error response from daemon: Head \"http://localhost:5000/v2/x/manifests/1\": no basic auth credentials",
                Fault::ImageRefused,
            ),
            (
                "Error response from daemon: pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                Fault::ImageRefused,
            ),
            (
                "Error response from daemon: Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
                Fault::ImageUnreachable,
            ),
            (
                "Error response from daemon: Get \"https://r/v2/\": x509: certificate signed by unknown authority",
                Fault::ImageUntrusted,
            ),
            (
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                Fault::EngineFailed,
            ),
        ] {
            assert_eq!(fault(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn only_the_last_line_is_docker_s_own() {
        let text = "npm ERR! connection refused\nThe command '/bin/sh -c npm ci' returned a non-zero code: 1";
        assert!(read(complaint, text).is_none());
        assert!(read(complaint, "").is_none());
    }
}
