//! What bytes from outside must not do: one target for each place where they are read.
//!
//! A target takes any bytes and panics where a promise is broken. Not to panic is only the first of them: what is
//! accepted reads the same once it is written again, what is refused says what is wrong with it, and neither takes long.
//!
//! The tests of this crate feed every target with its corpus and with [`mutated`] pieces of it, always the same ones.
//! `cargo xtask fuzz` does the same with libFuzzer, which looks at what is reached.
#![allow(clippy::panic)]

mod cron;
mod files;
mod html;
mod mutate;
mod northwind;
mod page_map;
mod protocol;
mod request;
mod texts;
mod token;

use std::path::PathBuf;

pub use self::mutate::mutated;

/// Bytes that are read somewhere, and what must hold of it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its corpus' folder.
    pub name: &'static str,
    /// Reads the bytes; panics where a promise is broken.
    pub read: fn(&[u8]),
    /// Pieces from which something interesting is made.
    pub words: &'static [&'static str],
    /// How many inputs a test makes; a second or two of them.
    pub tries: u64,
}

/// All of them.
pub const TARGETS: [Target; 9] = [
    Target { name: "texts", read: texts::read, words: texts::WORDS, tries: 30_000 },
    Target { name: "cron", read: cron::read, words: cron::WORDS, tries: 10_000 },
    Target { name: "page_map", read: page_map::read, words: page_map::WORDS, tries: 2000 },
    Target { name: "northwind", read: northwind::read, words: northwind::WORDS, tries: 300 },
    Target { name: "request", read: request::read, words: request::WORDS, tries: 15_000 },
    Target { name: "token", read: token::read, words: token::WORDS, tries: 20_000 },
    Target { name: "files", read: files::read, words: files::WORDS, tries: 4000 },
    Target { name: "html", read: html::read, words: html::WORDS, tries: 1000 },
    Target { name: "protocol", read: protocol::read, words: protocol::WORDS, tries: 20_000 },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

impl Target {
    /// Where its corpus is.
    #[must_use]
    pub fn corpus(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }
}
