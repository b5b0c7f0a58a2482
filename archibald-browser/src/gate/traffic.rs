//! What was asked of the ERP last, for a person who has to judge what happened: who asked what and how it
//! went, and nothing of what was carried. No body, no header, and of a query only what the page map says
//! names a thing.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use archibald_core::time::Timestamp;
use url::Url;

use crate::ring::{Place, Ring};
use crate::text::shortened;

/// Requests remembered; older ones are forgotten.
const REMEMBERED: usize = 50;
/// Characters of a path that are kept.
const LONGEST_PATH: usize = 200;

/// A request that came to the gate.
#[derive(Debug, Clone)]
pub struct Passed {
    at: Timestamp,
    pub(crate) began: Instant,
    method: String,
    path: String,
    what: String,
    end: Option<(Instant, String)>,
}

/// The last requests, oldest first.
#[derive(Debug)]
pub(super) struct Traffic(Ring<Passed>);

impl Default for Traffic {
    fn default() -> Self {
        Self(Ring::of(REMEMBERED))
    }
}

impl Traffic {
    /// A request came; `what` is what the gate makes of it.
    pub(super) fn begin(&mut self, method: &str, path: String, what: String) -> Place {
        let (at, began) = (now(), Instant::now());
        self.0.push(Passed { at, began, method: method.to_owned(), path, what, end: None })
    }

    /// How it went.
    pub(super) fn end(&mut self, place: Place, how: String) {
        if let Some(passed) = self.0.get_mut(place) {
            passed.end = Some((Instant::now(), how));
        }
    }

    pub(super) fn last(&self) -> Vec<Passed> {
        self.0.iter().cloned().collect()
    }
}

impl Passed {
    /// Until it was answered, or until now.
    pub(crate) fn took(&self) -> Duration {
        let until = self.end.as_ref().map_or_else(Instant::now, |(until, _)| *until);
        until.duration_since(self.began)
    }

    /// Who asked what.
    pub(crate) fn asked(&self) -> String {
        let Self { method, path, what, .. } = self;
        format!("{method} {path} ({what})")
    }

    pub(crate) fn went(&self) -> &str {
        self.end.as_ref().map_or("no answer yet", |(_, how)| how)
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:>6} ms {}: {}", self.at, self.took().as_millis(), self.asked(), self.went())
    }
}

/// An address without its secrets: values of the query beside `shown`, and a session that stands in the path.
pub(super) fn without_secrets(url: &str, home: &url::Origin, shown: &BTreeSet<String>) -> String {
    let Ok(url) = Url::parse(url) else { return "an address that cannot be read".to_owned() };
    let segments = url.path().split('/').map(|part| if part.starts_with('(') { "(…)" } else { part });
    let mut path = segments.collect::<Vec<_>>().join("/");
    if url.origin() != *home {
        path.insert_str(0, &url.origin().ascii_serialization());
    }
    for (place, (name, value)) in url.query_pairs().enumerate() {
        let value = if shown.contains(name.as_ref()) { value } else { "…".into() };
        path += if place == 0 { "?" } else { "&" };
        path += &format!("{name}={value}");
    }
    shortened(&path, LONGEST_PATH)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH + since
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_names_a_thing_and_no_more() {
        let home = Url::parse("http://erp.test/").unwrap().origin();
        let shown = BTreeSet::from(["id".to_owned()]);
        let told = |url: &str| without_secrets(url, &home, &shown);
        assert_eq!(told("http://erp.test/Order.aspx?id=20001&token=abc"), "/Order.aspx?id=20001&token=…");
        assert_eq!(told("http://erp.test/(S(lit3py55t21z))/Order.aspx"), "/(…)/Order.aspx");
        assert_eq!(told("http://other.test/a?id=1"), "http://other.test/a?id=1");
        assert_eq!(told(&format!("http://erp.test/{}", "è".repeat(300))).chars().count(), LONGEST_PATH + 1);
        assert!(!told("http://user:secret@erp.test/").contains("secret"));
    }

    #[test]
    fn the_last_requests_are_remembered_with_their_end_if_they_have_one() {
        let mut traffic = Traffic::default();
        let first = traffic.begin("GET", "/0".into(), "harmless".into());
        let places: Vec<_> =
            (1..=REMEMBERED).map(|n| traffic.begin("GET", format!("/{n}"), "harmless".into())).collect();
        traffic.end(first, "200".into());
        traffic.end(places[0], "302".into());
        let last: Vec<_> = traffic.last().iter().map(Passed::to_string).collect();
        assert_eq!(last.len(), REMEMBERED);
        assert!(last[0].ends_with("ms GET /1 (harmless): 302"), "{}", last[0]);
        assert!(last[1].ends_with("ms GET /2 (harmless): no answer yet"), "{}", last[1]);
    }
}
