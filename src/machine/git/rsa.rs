//! RSA signatures, with the library that TLS uses: the `rsa` crate leaks the key by its timing (RUSTSEC-2023-0071). russh
//! has that crate for the host keys of servers, where it gets public keys only.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::credential::unusable;
use crate::error::{Code, Error, Result};

pub(super) struct RsaKey(RsaKeyPair);

#[derive(Clone, Copy)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl RsaKey {
    /// `None` if the text holds a key of another kind.
    pub(super) fn from_pem(text: &str) -> Result<Option<RsaKey>> {
        match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
            Ok(PrivateKeyDer::Pkcs1(der)) => RsaKey::from_pkcs1(der.secret_pkcs1_der()).map(Some),
            Ok(PrivateKeyDer::Pkcs8(der)) if is_rsa(der.secret_pkcs8_der()) => {
                RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
                    .map(|pair| Some(RsaKey(pair)))
                    .map_err(rejected)
            }
            _ => Ok(None),
        }
    }

    pub(super) fn from_pkcs1(der: &[u8]) -> Result<RsaKey> {
        RsaKeyPair::from_der(der).map(RsaKey).map_err(rejected)
    }

    pub(super) fn sign(&self, hash: Hash, message: &[u8]) -> Result<Vec<u8>> {
        let padding: &dyn RsaEncoding = match hash {
            Hash::Sha256 => &RSA_PKCS1_SHA256,
            Hash::Sha512 => &RSA_PKCS1_SHA512,
        };
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(padding, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| Error::new(Code::Bug, "signing with an RSA key", "the library does not sign"))?;
        Ok(signature)
    }

    /// Exponent and modulus, big-endian.
    pub(super) fn public(&self) -> (Vec<u8>, Vec<u8>) {
        let public = self.0.public_key();
        (
            public.exponent().big_endian_without_leading_zero().to_vec(),
            public.modulus().big_endian_without_leading_zero().to_vec(),
        )
    }
}

/// Whether a PKCS#8 key has, in its header, the object identifier of RSA: 1.2.840.113549.1.1.1.
fn is_rsa(pkcs8: &[u8]) -> bool {
    const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    pkcs8.get(..32.min(pkcs8.len())).is_some_and(|head| head.windows(RSA.len()).any(|window| window == RSA))
}

/// The library's message ("InvalidEncoding", "TooSmall") quotes nothing of the key.
fn rejected(error: aws_lc_rs::error::KeyRejected) -> Error {
    unusable(&format!("its RSA key is not usable: {error}"))
}
