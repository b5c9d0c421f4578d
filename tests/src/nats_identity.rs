//! Who one is to a NATS server: nkeys, and JWTs of an operator, an account and a user as NATS's own tools make them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// A user's public key, and its seed.
///
/// # Panics
/// Never: the pair has its seed.
pub fn user_key() -> (String, String) {
    let pair = KeyPair::new_user();
    (pair.public_key(), pair.seed().unwrap())
}

/// An operator with one account that has one user.
#[derive(Debug)]
pub struct Accounts {
    operator: KeyPair,
    account: KeyPair,
    user: KeyPair,
}

impl Default for Accounts {
    fn default() -> Self {
        Self::new()
    }
}

impl Accounts {
    /// New keys for all three.
    pub fn new() -> Self {
        Self { operator: KeyPair::new_operator(), account: KeyPair::new_account(), user: KeyPair::new_user() }
    }

    /// The configuration of a server that trusts the operator and knows the account.
    pub fn server_config(&self) -> String {
        let operator = token(&self.operator, &self.operator, json!({ "type": "operator", "version": 2 }));
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1,
        });
        let claims = json!({ "type": "account", "version": 2, "limits": limits });
        let account = token(&self.operator, &self.account, claims);
        let name = self.account.public_key();
        format!("operator: \"{operator}\"\nresolver: MEMORY\nresolver_preload: {{ {name}: \"{account}\" }}")
    }

    /// The user's credentials file.
    ///
    /// # Panics
    /// Never: the pair has its seed.
    pub fn credentials(&self) -> String {
        let claims = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        let token = token(&self.account, &self.user, claims);
        let seed = self.user.seed().unwrap();
        format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

/// What `issuer` says of `subject`, signed.
fn token(issuer: &KeyPair, subject: &KeyPair, claims: Value) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" }).to_string();
    let body = json!({
        "jti": subject.public_key(), "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "tests",
        "sub": subject.public_key(), "nats": claims,
    });
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(body.to_string().as_bytes()));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", encode(&signature))
}
