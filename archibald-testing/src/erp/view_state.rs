//! The hidden fields of a WebForms page: state that travels with the page, sealed against everybody else.
//!
//! As in the real thing nothing is kept at the server: a seal that fits page, session and key is good for ever and
//! any number of times, so a request that Chromium sends again is accepted again. A recycle changes the key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

const SEAL: usize = 32;

/// The key of one life of the application pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ViewStateKey([u8; 32]);

impl ViewStateKey {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    pub(crate) fn seal(&self, page: &str, session: &str, state: &Value) -> String {
        let text = state.to_string();
        let mut bytes = self.mac(page, session, text.as_bytes()).to_vec();
        bytes.extend_from_slice(text.as_bytes());
        STANDARD.encode(bytes)
    }

    /// The state, if this key sealed it for that page and session.
    pub(crate) fn open(&self, page: &str, session: &str, sealed: &str) -> Option<Value> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (seal, text) = bytes.split_at_checked(SEAL)?;
        if seal != self.mac(page, session, text) {
            return None;
        }
        serde_json::from_slice(text).ok()
    }

    fn mac(&self, page: &str, session: &str, text: &[u8]) -> [u8; SEAL] {
        let mut hash = Sha256::new();
        hash.update(self.0);
        for part in [page.as_bytes(), session.as_bytes(), text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// Eight hexadecimal digits that are the page's own.
pub(crate) fn generator(page: &str) -> String {
    Sha256::digest(page).iter().take(4).map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_opens_for_its_page_session_and_key_again_and_again() {
        let (key, state) = (ViewStateKey::random(), serde_json::json!({ "lines": [1, 2] }));
        let sealed = key.seal("Order.aspx", "s1", &state);
        for _ in 0..2 {
            assert_eq!(key.open("Order.aspx", "s1", &sealed).as_ref(), Some(&state));
        }
        assert_eq!(key.open("Order.aspx", "s2", &sealed), None);
        assert_eq!(key.open("Orders.aspx", "s1", &sealed), None);
        assert_eq!(ViewStateKey::random().open("Order.aspx", "s1", &sealed), None);
        assert_eq!(key.open("Order.aspx", "s1", "bm90IHNlYWxlZA=="), None);
    }
}
