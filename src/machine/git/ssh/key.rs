//! The private key of an ssh credential, and its signatures.

use std::sync::Arc;

use num_bigint::BigUint;
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::private::{KeypairData, RsaPrivateKey};
use russh::keys::ssh_key::public::{KeyData, RsaPublicKey};
use russh::keys::ssh_key::{Algorithm, HashAlg, Mpint, PublicKey};
use russh::keys::{PrivateKeyWithHashAlg, decode_secret_key};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::machine::git::credential::unusable;
use crate::machine::git::rsa::{Hash, RsaKey};
use crate::secret::Secret;

pub enum Key {
    /// russh signs.
    Plain(PrivateKeyWithHashAlg),
    /// `rsa.rs` signs.
    Rsa(RsaSigner),
}

impl Key {
    /// Reads PEM (PKCS#1, PKCS#8, SEC1) or OpenSSH's format, without a passphrase.
    pub fn parse(secret: &Secret) -> Result<Key> {
        let text = secret.expose().trim();
        if text.lines().take(3).any(|line| line.contains("ENCRYPTED")) {
            return Err(encrypted());
        }
        if let Some(key) = RsaKey::from_pem(text)? {
            return RsaSigner::new(key).map(Key::Rsa);
        }
        // The library's message could quote a part of the key.
        let key = decode_secret_key(text, None).map_err(|error| match error {
            russh::keys::Error::KeyIsEncrypted => encrypted(),
            _ => unreadable(),
        })?;
        match key.key_data() {
            KeypairData::Rsa(pair) => {
                let der = pkcs1(pair.public(), pair.private()).ok_or_else(unreadable)?;
                RsaSigner::new(RsaKey::from_pkcs1(&der)?).map(Key::Rsa)
            }
            KeypairData::Ed25519(_) | KeypairData::Ecdsa(_) => {
                Ok(Key::Plain(PrivateKeyWithHashAlg::new(Arc::new(key), None)))
            }
            _ => {
                Err(unusable("a private key of this kind is not supported")
                    .remedy("use ssh-keygen -t ed25519"))
            }
        }
    }

    /// The kind and fingerprint of the public key, as `ssh-keygen -l` shows them.
    pub fn fingerprint(&self) -> String {
        let public = match self {
            Key::Plain(key) => key.public_key(),
            Key::Rsa(key) => &key.public,
        };
        format!("{} {}", public.algorithm().as_str(), public.fingerprint(HashAlg::Sha256))
    }
}

fn encrypted() -> Error {
    unusable("its private key is encrypted, and bootagent cannot enter a passphrase")
        .remedy("store the key without one: ssh-keygen -p -N '' -f FILE")
}

fn unreadable() -> Error {
    unusable("its private key cannot be read")
        .remedy("store the whole file that ssh-keygen wrote, with its first and last line and all line ends")
}

/// An RSA key as ssh servers know it.
pub struct RsaSigner {
    key: RsaKey,
    pub public: PublicKey,
}

impl RsaSigner {
    fn new(key: RsaKey) -> Result<RsaSigner> {
        let (exponent, modulus) = key.public();
        let public =
            RsaPublicKey::new(Mpint::from_positive_bytes(&exponent), Mpint::from_positive_bytes(&modulus))
                .map_err(|_| unreadable())?;
        Ok(RsaSigner { key, public: PublicKey::from(KeyData::Rsa(public)) })
    }
}

/// The key did not sign, or the connection has ended.
#[derive(Debug)]
pub struct NotSigned;

impl From<russh::SendError> for NotSigned {
    fn from(_: russh::SendError) -> Self {
        NotSigned
    }
}

/// Never signs with SHA-1 (`ssh-rsa`), which is broken.
impl russh::Signer for &RsaSigner {
    type Error = NotSigned;

    async fn auth_sign(
        &mut self,
        _identity: &AgentIdentity,
        hash: Option<HashAlg>,
        message: Vec<u8>,
    ) -> Result<Vec<u8>, NotSigned> {
        let supported = match hash {
            Some(HashAlg::Sha256) => Hash::Sha256,
            Some(HashAlg::Sha512) => Hash::Sha512,
            _ => return Err(NotSigned),
        };
        let signature = self.key.sign(supported, &message).map_err(|_| NotSigned)?;
        let algorithm = Algorithm::Rsa { hash };
        let blob = [string(algorithm.as_str().as_bytes()), string(&signature)].concat();
        // russh expects the message, followed by its signature.
        Ok([message, string(&blob)].concat())
    }
}

/// A string of ssh's protocol: its length as 32 bits, then its bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or_default().to_be_bytes();
    [&length[..], bytes].concat()
}

/// The key in PKCS#1, which has two numbers more than OpenSSH's format: d mod p-1 and d mod q-1.
fn pkcs1(public: &RsaPublicKey, private: &RsaPrivateKey) -> Option<Zeroizing<Vec<u8>>> {
    let number = |number: &Mpint| number.as_positive_bytes().map(BigUint::from_bytes_be);
    let (d, p, q) = (number(private.d())?, number(private.p())?, number(private.q())?);
    let one = BigUint::from(1u8);
    if p <= one || q <= one {
        return None;
    }
    let (dp, dq) = (&d % (&p - &one), &d % (&q - &one));
    let (n, e, inverse) = (number(public.n())?, number(public.e())?, number(private.iqmp())?);
    let mut numbers = Zeroizing::new(integer(&BigUint::ZERO));
    for number in [n, e, d, p, q, dp, dq, inverse] {
        numbers.extend_from_slice(&Zeroizing::new(integer(&number)));
    }
    Some(Zeroizing::new(der(0x30, &numbers)))
}

/// A DER INTEGER.
fn integer(number: &BigUint) -> Vec<u8> {
    let mut bytes = number.to_bytes_be();
    // If the first bit is set, DER reads a negative number.
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        bytes.insert(0, 0);
    }
    der(0x02, &bytes)
}

/// A DER element: tag, length, content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match content.len() {
        short @ 0..=0x7f => bytes.push(short as u8),
        long => {
            let digits: Vec<u8> = long.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            bytes.push(0x80 | digits.len() as u8);
            bytes.extend(digits);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}
