//! Recognizes errors of certificates and TLS in the messages of rustls and Node: HTTP clients pass on only the text.

/// The beginning of rustls' message for a certificate that it refuses.
const CERTIFICATE: &str = "invalid peer certificate";

pub const REMEDY: &str = "the server's certificate is not signed by an authority that this machine trusts: is a proxy in between (network.ca_file in the policy), is the CA bundle old, or does another host answer?";

/// Whether the certificate has expired or is not valid yet. The machine's clock may be wrong instead.
pub fn is_expired_or_not_yet_valid(cause: &str) -> bool {
    let says = |what: &str| cause.to_lowercase().contains(what);
    let in_rustls = is_untrusted(cause) && (says("expired") || says("not valid yet") || says("notvalidyet"));
    in_rustls || says("cert_has_expired") || says("cert_not_yet_valid")
}

/// Whether rustls refused the server's certificate, for any reason.
pub fn is_untrusted(cause: &str) -> bool {
    cause.contains(CERTIFICATE)
}

/// Whether the server does not speak TLS, or shares no version or cipher of it with rustls.
pub fn is_unsupported(cause: &str) -> bool {
    let says = [
        "peer is incompatible",
        "alert: ProtocolVersion",
        "alert: HandshakeFailure",
        "alert: InsufficientSecurity",
        "corrupt message of type InvalidContentType",
    ];
    says.iter().any(|words| cause.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_certificates_are_told_apart_by_reason() {
        for cause in [
            "invalid peer certificate: certificate expired: verification time 1 (UNIX)",
            "io: invalid peer certificate: certificate not valid yet: verification time 1 (UNIX)",
        ] {
            assert!(is_expired_or_not_yet_valid(cause) && is_untrusted(cause), "{cause}");
        }
        assert!(is_expired_or_not_yet_valid(
            "npm ends with CERT_NOT_YET_VALID: request to https://r/x failed"
        ));
        let foreign = "invalid peer certificate: UnknownIssuer";
        assert!(is_untrusted(foreign) && !is_expired_or_not_yet_valid(foreign));
        for cause in [
            "peer is incompatible: ServerDoesNotSupportTls12Or13",
            "received fatal alert: HandshakeFailure",
            "received fatal alert: ProtocolVersion",
            "io: received corrupt message of type InvalidContentType",
        ] {
            assert!(is_unsupported(cause) && !is_untrusted(cause), "{cause}");
        }
        assert!(!is_unsupported(foreign) && !is_unsupported("received fatal alert: InternalError"));
        for other in ["connection refused", "the token has expired"] {
            assert!(!is_untrusted(other) && !is_expired_or_not_yet_valid(other), "{other}");
        }
    }
}
