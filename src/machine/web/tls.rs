//! What rustls and Node say about a certificate, read from the text that passes through their clients.

const CERTIFICATE: &str = "invalid peer certificate";

pub const REMEDY: &str = "whoever answers shows a certificate that no authority of this machine vouches for: a proxy in between (network.ca_file in the policy), an old CA bundle, or another host";

/// Refused for its time: expired, or not valid yet. It may be our clock that is wrong.
pub fn is_untimely(cause: &str) -> bool {
    let says = |what: &str| cause.to_lowercase().contains(what);
    let in_rustls = is_untrusted(cause) && (says("expired") || says("not valid yet") || says("notvalidyet"));
    in_rustls || says("cert_has_expired") || says("cert_not_yet_valid")
}

pub fn is_untrusted(cause: &str) -> bool {
    cause.contains(CERTIFICATE)
}

/// The other side speaks no TLS, or no version and no cipher of it that is known here.
pub fn is_unsupported(cause: &str) -> bool {
    let says =
        ["peer is incompatible", "alert: ProtocolVersion", "corrupt message of type InvalidContentType"];
    says.iter().any(|words| cause.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_refused_for_its_time_may_be_a_good_one() {
        for cause in [
            "invalid peer certificate: certificate expired: verification time 1 (UNIX)",
            "io: invalid peer certificate: certificate not valid yet: verification time 1 (UNIX)",
        ] {
            assert!(is_untimely(cause) && is_untrusted(cause), "{cause}");
        }
        assert!(is_untimely("npm ends with CERT_NOT_YET_VALID: request to https://r/x failed"));
        let foreign = "invalid peer certificate: UnknownIssuer";
        assert!(is_untrusted(foreign) && !is_untimely(foreign));
        for cause in [
            "peer is incompatible: ServerDoesNotSupportTls12Or13",
            "received fatal alert: ProtocolVersion",
            "io: received corrupt message of type InvalidContentType",
        ] {
            assert!(is_unsupported(cause) && !is_untrusted(cause), "{cause}");
        }
        assert!(!is_unsupported(foreign) && !is_unsupported("received fatal alert: InternalError"));
        for other in ["connection refused", "the token has expired"] {
            assert!(!is_untrusted(other) && !is_untimely(other), "{other}");
        }
    }
}
