//! The targets of `archibald-fuzzing`, each a program of libFuzzer's.
#![allow(clippy::panic)]

/// Hands the bytes to a target.
pub fn read(name: &str, bytes: &[u8]) {
    match archibald_fuzzing::target(name) {
        Some(target) => (target.read)(bytes),
        None => panic!("no target is called {name}"),
    }
}
