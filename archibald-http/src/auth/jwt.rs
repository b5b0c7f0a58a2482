//! JSON Web Tokens: HS256 with a shared secret, or EdDSA with an Ed25519 key.

mod crypto;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use archibald_core::id::AgentId;
use async_trait::async_trait;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::{AuthError, Authenticator, Principal, Scope, TokenScope};

/// How far the clocks of those who make tokens and those who check them may be apart.
const LEEWAY: Duration = Duration::from_secs(10);

/// As long as the digest: a shorter secret could be guessed from one token.
const SHORTEST_SECRET: usize = 32;

/// The longest name of a holder.
const LONGEST_NAME: usize = 100;

/// The key that tokens are checked with, and made with where it is not only the public half.
///
/// The key says which algorithm holds; what a token's header says of it is compared and never followed.
pub struct JwtKey {
    algorithm: Algorithm,
    checks: DecodingKey,
    makes: Option<EncodingKey>,
}

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// A PEM block that holds something else.
    #[error("a PEM key must be Ed25519: PRIVATE KEY (PKCS #8) or PUBLIC KEY")]
    Pem,
    /// Too easy to guess.
    #[error("a secret must have at least {SHORTEST_SECRET} bytes, got {0}")]
    Short(usize),
}

/// A token that was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSigned {
    /// The public half of a key checks tokens and makes none.
    #[error("the key is a public one, which checks tokens and makes none")]
    PublicKey,
    /// It could never be used.
    #[error("a token must end in the years to come")]
    End,
    /// The library refused.
    #[error("the token cannot be signed with this key")]
    Key,
}

/// What a token says. Others may stand beside these; they mean nothing here.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    scope: TokenScope,
    exp: u64,
    #[serde(default)]
    iat: u64,
}

impl JwtKey {
    /// A PEM block with an Ed25519 key, private or public (EdDSA), or else a secret of at least 32 bytes
    /// (HS256); white space around it does not count.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn new(text: &str) -> Result<Self, InvalidKey> {
        crypto::install();
        let text = text.trim();
        if text.starts_with("-----BEGIN") { Self::eddsa(text) } else { Self::hs256(text.as_bytes()) }
    }

    /// Whether it is only the public half, which checks tokens and is no secret.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.makes.is_none()
    }

    fn hs256(secret: &[u8]) -> Result<Self, InvalidKey> {
        if secret.len() < SHORTEST_SECRET {
            return Err(InvalidKey::Short(secret.len()));
        }
        Ok(Self {
            algorithm: Algorithm::HS256,
            checks: DecodingKey::from_secret(secret),
            makes: Some(EncodingKey::from_secret(secret)),
        })
    }

    fn eddsa(pem: &str) -> Result<Self, InvalidKey> {
        let private = SigningKey::from_pkcs8_pem(pem).ok();
        let public = match &private {
            Some(private) => private.verifying_key(),
            None => VerifyingKey::from_public_key_pem(pem).map_err(|_| InvalidKey::Pem)?,
        };
        let makes = match private {
            Some(private) => {
                let der = private.to_pkcs8_der().map_err(|_| InvalidKey::Pem)?;
                Some(EncodingKey::from_ed_der(der.as_bytes()))
            }
            None => None,
        };
        Ok(Self { algorithm: Algorithm::EdDSA, checks: DecodingKey::from_ed_der(public.as_bytes()), makes })
    }

    /// A token for somebody, from `now` and for as long as `ttl`.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub fn sign(&self, principal: &Principal, now: SystemTime, ttl: Duration) -> Result<String, NotSigned> {
        let makes = self.makes.as_ref().ok_or(NotSigned::PublicKey)?;
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map(|span| span.as_secs());
        let exp = now.checked_add(ttl).and_then(|end| seconds(end).ok()).ok_or(NotSigned::End)?;
        let (sub, scope) = match &principal.scope {
            Scope::Agent(agent) => (agent.to_string(), TokenScope::Agent),
            Scope::Operator => (principal.name.clone(), TokenScope::Operator),
        };
        let claims = Claims { sub, scope, exp, iat: seconds(now).unwrap_or_default() };
        jsonwebtoken::encode(&Header::new(self.algorithm), &claims, makes).map_err(|_| NotSigned::Key)
    }

    fn check(&self, token: &str) -> Option<Principal> {
        let mut validation = Validation::new(self.algorithm);
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checks, &validation).ok()?.claims;
        let principal = match claims.scope {
            TokenScope::Agent => Principal::agent(AgentId::new(claims.sub).ok()?),
            TokenScope::Operator => Principal::operator(name(claims.sub)?),
        };
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp))?.checked_add(LEEWAY)?;
        Some(Principal { expires_at: Some(end), ..principal })
    }
}

#[async_trait]
impl Authenticator for JwtKey {
    async fn authenticate(&self, token: &str) -> Result<Principal, AuthError> {
        self.check(token).ok_or(AuthError::Refused)
    }
}

/// Without the key.
impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// It is written into logs and audits.
fn name(sub: String) -> Option<String> {
    let fits = !sub.is_empty() && sub.chars().count() <= LONGEST_NAME && !sub.contains(char::is_control);
    fits.then_some(sub)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "a secret that is long enough for it";
    const HOUR: Duration = Duration::from_secs(3600);
    // The key pair of RFC 8410, section 10.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
                           MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                           -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
                          MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                          -----END PUBLIC KEY-----\n";

    fn nancy() -> Principal {
        Principal::agent(AgentId::new("nancy").unwrap())
    }

    fn sign(key: &JwtKey, header: Header, claims: &Value) -> String {
        jsonwebtoken::encode(&header, claims, key.makes.as_ref().unwrap()).unwrap()
    }

    fn soon() -> u64 {
        (SystemTime::now() + HOUR).duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    fn base64(value: &Value) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
    }

    #[test]
    fn a_token_says_who_holds_it_until_it_ends() {
        for key in [SECRET, PRIVATE] {
            let key = JwtKey::new(key).unwrap();
            let now = SystemTime::now();
            let known = key.check(&key.sign(&nancy(), now, HOUR).unwrap()).unwrap();
            assert_eq!((known.name.as_str(), &known.scope), ("nancy", &nancy().scope));
            assert!(known.expires_at.unwrap() > now + HOUR - Duration::from_secs(1));
            assert!(known.expires_at.unwrap() <= now + HOUR + LEEWAY);
            let operator = key.sign(&Principal::operator("laura"), now, HOUR).unwrap();
            let operator = key.check(&operator).unwrap();
            assert_eq!((operator.name.as_str(), operator.scope), ("laura", Scope::Operator));
            assert_eq!(key.check(&key.sign(&nancy(), now - 2 * HOUR, HOUR).unwrap()), None);
        }
    }

    #[test]
    fn the_public_half_checks_and_does_not_make() {
        let (private, public) = (JwtKey::new(PRIVATE).unwrap(), JwtKey::new(PUBLIC).unwrap());
        let token = private.sign(&nancy(), SystemTime::now(), HOUR).unwrap();
        assert!(public.check(&token).is_some());
        assert_eq!(public.sign(&nancy(), SystemTime::now(), HOUR), Err(NotSigned::PublicKey));
    }

    #[test]
    fn what_the_header_says_of_the_algorithm_is_not_followed() {
        let private = JwtKey::new(PRIVATE).unwrap();
        let claims = json!({ "sub": "nancy", "scope": "operator", "exp": soon() });
        let none = format!("{}.{}.", base64(&json!({ "alg": "none", "typ": "JWT" })), base64(&claims));
        // Signed with what everybody knows: the public key, as if it were a shared secret.
        let everybody = VerifyingKey::from_public_key_pem(PUBLIC).unwrap();
        let confused = [everybody.as_bytes().to_vec(), PUBLIC.trim().into(), PUBLIC.into()].map(|secret| {
            jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(&secret)).unwrap()
        });
        for key in [SECRET, PRIVATE, PUBLIC] {
            let key = JwtKey::new(key).unwrap();
            assert_eq!(key.check(&none), None);
            for token in &confused {
                assert_eq!(key.check(token), None);
            }
        }
        let secret = JwtKey::new(SECRET).unwrap();
        assert_eq!(secret.check(&sign(&private, Header::new(Algorithm::EdDSA), &claims)), None);
        let other = JwtKey::new("another secret that is long enough").unwrap();
        assert_eq!(secret.check(&sign(&other, Header::default(), &claims)), None);
    }

    #[test]
    fn a_token_has_to_say_all_that_counts() {
        let key = JwtKey::new(SECRET).unwrap();
        let check = |claims: Value| key.check(&sign(&key, Header::default(), &claims)).is_some();
        let (exp, ago) = (soon(), soon() - 2 * 3600);
        assert!(check(json!({ "sub": "nancy", "scope": "agent", "exp": exp, "more": [1] })));
        assert!(check(json!({ "sub": "Laura of the office", "scope": "operator", "exp": exp })));
        for claims in [
            json!({ "sub": "nancy", "scope": "agent" }),
            json!({ "sub": "nancy", "scope": "agent", "exp": null }),
            json!({ "sub": "nancy", "scope": "agent", "exp": "soon" }),
            json!({ "sub": "nancy", "scope": "agent", "exp": ago }),
            json!({ "sub": "nancy", "scope": "agent", "exp": exp, "nbf": exp }),
            json!({ "sub": "nancy", "scope": "agent", "exp": exp, "aud": "another server" }),
            json!({ "sub": "nancy", "exp": exp }),
            json!({ "sub": "nancy", "scope": "Operator", "exp": exp }),
            json!({ "sub": "nancy", "scope": ["operator"], "exp": exp }),
            json!({ "sub": "NANCY DAVOLIO", "scope": "agent", "exp": exp }),
            json!({ "sub": "a\nb", "scope": "operator", "exp": exp }),
            json!({ "sub": "", "scope": "operator", "exp": exp }),
            json!({ "sub": "nancy", "scope": "agent", "exp": u64::MAX }),
            json!({ "scope": "agent", "exp": exp }),
        ] {
            assert!(!check(claims.clone()), "{claims}");
        }
    }

    #[test]
    fn a_token_that_was_touched_anywhere_is_refused() {
        let key = JwtKey::new(SECRET).unwrap();
        let token = key.sign(&nancy(), SystemTime::now(), HOUR).unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let touched = String::from_utf8(bytes).unwrap();
            assert_eq!(key.check(&touched), None, "{at} of {token}");
            assert_eq!(key.check(&token[..at]), None);
        }
        for nonsense in ["", ".", "..", "a.b.c", "....", "é.é.é"] {
            assert_eq!(key.check(nonsense), None);
        }
    }

    #[test]
    fn a_key_that_cannot_be_used_is_told_and_no_key_is_shown() {
        assert_eq!(JwtKey::new("short").unwrap_err(), InvalidKey::Short(5));
        assert_eq!(
            JwtKey::new("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----").unwrap_err(),
            InvalidKey::Pem
        );
        for key in [SECRET, PRIVATE] {
            let shown = format!("{:?}", JwtKey::new(key).unwrap());
            assert!(shown.starts_with("JwtKey { algorithm: ") && shown.len() < 40, "{shown}");
        }
    }
}
