//! JSON Web Tokens: what we did not sign is not accepted.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use archibald_core::id::AgentId;
use archibald_http::{Authenticator, JwtKey, Principal};
use tokio::runtime::Runtime;

pub(super) const WORDS: &[&str] = &[".", "eyJ", "=", "-", "_", "e30", "bm9uZQ", "A", "Q", "\0", " "];

/// What the token of the run is called in the corpus: its time has to be ours.
const OURS: &[u8] = b"{TOKEN}";

struct Signed {
    key: JwtKey,
    token: String,
    runtime: Runtime,
}

static SIGNED: LazyLock<Option<Signed>> = LazyLock::new(|| {
    let key = JwtKey::new("a secret of more than thirty-two bytes").ok()?;
    let nancy = Principal::agent(AgentId::new("nancy").ok()?);
    let token = key.sign(&nancy, SystemTime::now(), Duration::from_secs(24 * 3600)).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    Some(Signed { key, token, runtime })
});

pub(super) fn read(bytes: &[u8]) {
    let Some(Signed { key, token, runtime }) = SIGNED.as_ref() else { panic!("nothing was signed") };
    let text = match bytes.windows(OURS.len()).position(|window| window == OURS) {
        Some(at) => [&bytes[..at], token.as_bytes(), &bytes[at + OURS.len()..]].concat(),
        // Ours with some bits turned over, as the bytes say.
        None => changed(token.as_bytes(), bytes),
    };
    let Ok(text) = std::str::from_utf8(&text) else { return };
    let accepted = runtime.block_on(key.authenticate(text)).is_ok();
    assert_eq!(accepted, text == token, "{text}");
}

/// Pairs of a place and what to do to the byte there.
fn changed(token: &[u8], how: &[u8]) -> Vec<u8> {
    let mut changed = token.to_vec();
    for pair in how.chunks_exact(2) {
        let at = usize::from(pair[0]) % changed.len();
        changed[at] ^= pair[1];
    }
    changed
}
