//! Sealing: encrypt, then sign. The format is iron's (`Fe26.2`), as h3 and with it TanStack Start's `useSession`
//! write it:
//!
//! `Fe26.2*id*salt*iv*encrypted*expires*salt*signature`
//!
//! Keys are derived from the password by PBKDF2 with HMAC-SHA-1, one for AES-256-CBC and one for HMAC-SHA-256. The
//! salts are hexadecimal text and are used as such; what is binary is base64 for URLs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aes::Aes256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

const PREFIX: &str = "Fe26.2";

/// Clocks may differ by so much.
const SKEW: Duration = Duration::from_secs(60);

/// The shortest password, in characters.
pub(crate) const MIN_PASSWORD_CHARS: usize = 32;

/// The longest sealed text that is looked at, in bytes: what a hundred cookies can hold.
const MAX_SEALED_BYTES: usize = 400_000;

/// Why a seal is not opened. The caller of the session learns nothing of it: it begins a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error("it is no seal")]
    Form,
    #[error("it has expired")]
    Expired,
    #[error("it was sealed with another password, or changed since")]
    Signature,
    #[error("what it holds cannot be decrypted")]
    Content,
}

/// A password by its name; the name may be empty.
#[derive(Clone)]
pub(crate) struct Password {
    pub(crate) id: String,
    pub(crate) secret: String,
}

fn derive(password: &str, salt: &str, iterations: u32) -> [u8; 32] {
    pbkdf2::pbkdf2_hmac_array::<Sha1, 32>(password.as_bytes(), salt.as_bytes(), iterations)
}

fn sign(password: &str, salt: &str, iterations: u32, text: &str) -> Option<String> {
    let key = derive(password, salt, iterations);
    let mut hmac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    hmac.update(text.as_bytes());
    Some(URL_SAFE_NO_PAD.encode(hmac.finalize().into_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now_millis(now: SystemTime) -> u128 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

/// Seals a text. `None` only if a key had the wrong length, which none has.
pub(crate) fn seal(
    content: &str,
    password: &Password,
    iterations: u32,
    lifetime: Option<Duration>,
    now: SystemTime,
) -> Option<String> {
    let (salt, signature_salt): ([u8; 32], [u8; 32]) = (rand::random(), rand::random());
    let iv: [u8; 16] = rand::random();
    let (salt, signature_salt) = (hex(&salt), hex(&signature_salt));
    let key = derive(&password.secret, &salt, iterations);
    let cipher = cbc::Encryptor::<Aes256>::new_from_slices(&key, &iv).ok()?;
    let encrypted = URL_SAFE_NO_PAD.encode(cipher.encrypt_padded_vec_mut::<Pkcs7>(content.as_bytes()));
    let expires = lifetime.map(|lifetime| (now_millis(now) + lifetime.as_millis()).to_string());
    let (iv, expires) = (URL_SAFE_NO_PAD.encode(iv), expires.unwrap_or_default());
    let text = format!("{PREFIX}*{}*{salt}*{iv}*{encrypted}*{expires}", password.id);
    let signature = sign(&password.secret, &signature_salt, iterations, &text)?;
    Some(format!("{text}*{signature_salt}*{signature}"))
}

/// Opens a seal with the password of its name, whichever number of rounds it was sealed with: h3 used one round
/// before its second version.
///
/// # Errors
/// [`SealError`].
pub(crate) fn unseal(
    sealed: &str,
    passwords: &[Password],
    rounds: &[u32],
    now: SystemTime,
) -> Result<String, SealError> {
    if sealed.len() > MAX_SEALED_BYTES {
        return Err(SealError::Form);
    }
    let parts: Vec<&str> = sealed.split('*').collect();
    let [prefix, id, salt, iv, encrypted, expires, signature_salt, signature] = parts[..] else {
        return Err(SealError::Form);
    };
    if prefix != PREFIX {
        return Err(SealError::Form);
    }
    if !expires.is_empty() {
        let expires: u128 = expires.parse().map_err(|_| SealError::Form)?;
        if expires + SKEW.as_millis() <= now_millis(now) {
            return Err(SealError::Expired);
        }
    }
    let signed = &sealed[..sealed.len() - signature_salt.len() - signature.len() - 2];
    let tries = passwords.iter().filter(|password| id.is_empty() || password.id == id);
    let tries = tries.flat_map(|password| rounds.iter().map(move |rounds| (password, *rounds)));
    for (password, rounds) in tries {
        let wanted = sign(&password.secret, signature_salt, rounds, signed).ok_or(SealError::Content)?;
        if bool::from(wanted.as_bytes().ct_eq(signature.as_bytes())) {
            return decrypt(&password.secret, salt, iv, encrypted, rounds).ok_or(SealError::Content);
        }
    }
    Err(SealError::Signature)
}

fn decrypt(password: &str, salt: &str, iv: &str, encrypted: &str, rounds: u32) -> Option<String> {
    let iv = URL_SAFE_NO_PAD.decode(iv).ok()?;
    let encrypted = URL_SAFE_NO_PAD.decode(encrypted).ok()?;
    let key = derive(password, salt, rounds);
    let cipher = cbc::Decryptor::<Aes256>::new_from_slices(&key, &iv).ok()?;
    String::from_utf8(cipher.decrypt_padded_vec_mut::<Pkcs7>(&encrypted).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn password(id: &str, letter: &str) -> Password {
        Password { id: id.into(), secret: letter.repeat(MIN_PASSWORD_CHARS) }
    }

    const NOW: SystemTime = UNIX_EPOCH;

    #[test]
    fn what_is_sealed_is_opened_in_its_time() {
        let own = password("", "a");
        let hour = Duration::from_secs(3600);
        let sealed = seal("content", &own, 1, Some(hour), NOW).unwrap();
        let open = |now| unseal(&sealed, std::slice::from_ref(&own), &[8192, 1], now);
        assert_eq!(open(NOW).as_deref(), Ok("content"));
        assert_eq!(open(NOW + hour + SKEW - Duration::from_millis(1)).as_deref(), Ok("content"));
        assert_eq!(open(NOW + hour + SKEW), Err(SealError::Expired));
    }

    #[test]
    fn passwords_rotate() {
        let (old, new) = (password("old", "a"), password("new", "b"));
        let sealed = seal("content", &old, 1, None, NOW).unwrap();
        assert_eq!(unseal(&sealed, &[new.clone(), old.clone()], &[1], NOW).as_deref(), Ok("content"));
        assert_eq!(unseal(&sealed, std::slice::from_ref(&new), &[1], NOW), Err(SealError::Signature));
        // Without a name every password is tried.
        let unnamed = seal("content", &password("", "a"), 1, None, NOW).unwrap();
        assert_eq!(unseal(&unnamed, &[new, old], &[1], NOW).as_deref(), Ok("content"));
    }

    proptest! {
        #[test]
        fn no_changed_byte_gets_through(at in any::<prop::sample::Index>(), byte in 0x20u8..0x7f) {
            let own = password("", "a");
            let sealed = seal("content", &own, 1, None, NOW).unwrap();
            let mut changed = sealed.clone().into_bytes();
            let at = at.index(changed.len());
            prop_assume!(changed[at] != byte);
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            prop_assert!(unseal(&changed, &[own], &[1], NOW).is_err());
        }

        #[test]
        fn noise_is_no_seal(noise in "[Fe26.2*0-9a-f]{0,80}") {
            prop_assert!(unseal(&noise, &[password("", "a")], &[1], NOW).is_err());
        }
    }
}
