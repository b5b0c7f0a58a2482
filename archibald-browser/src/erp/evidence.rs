//! What is kept for a person when something failed or stayed in doubt: the page as picture and document, its
//! dialogs, the last requests. Bounded, and without secrets.
//!
//! No password, cookie or token gets in: the document leaves out scripts, hidden values and password fields,
//! the requests tell no bodies and headers; and whatever is text is searched for the context's cookies and the
//! agent's password besides, since a page may print anything.

use std::time::Duration;

use archibald_core::record::Evidence;

use super::ErpClient;
use crate::driver::{Dialog, Limit};
use crate::text::escaped;

/// Bytes of a picture; one that is larger is taken again of the visible part, coarser, or left out.
const LARGEST_PICTURE: usize = 1024 * 1024;
/// Bytes of a text; what is longer is cut, and says so.
const LARGEST_TEXT: usize = 512 * 1024;
/// What looking may take in all.
const LOOKING: Duration = Duration::from_secs(5);
/// Characters that a secret has at least: anything shorter would blank half of every page.
const SHORTEST_SECRET: usize = 4;

impl ErpClient {
    /// What the page looks like now and what was asked last.
    pub(super) async fn look_for_evidence(&self, limit: &Limit) -> Vec<Evidence> {
        let limit = limit.within(self.site().step().min(LOOKING));
        let mut secrets = self.secrets().to_vec();
        // Without them nothing is known to be free of them.
        let cookies = self.context().cookies(&limit).await;
        let readable = cookies.is_ok();
        secrets.extend(cookies.into_iter().flatten().map(|cookie| cookie.value));
        let mut evidence = Vec::new();
        if readable {
            if let Ok(html) = self.page().content(&limit).await {
                evidence.push(text("page", "text/html", html, &secrets));
            }
            if let Ok(picture) = self.page().picture(&limit, LARGEST_PICTURE).await {
                let (media_type, bytes) = picture;
                let (name, media_type) = ("screenshot".to_owned(), media_type.to_owned());
                evidence.push(Evidence { name, media_type, bytes });
            }
        }
        let dialogs = self.page().take_dialogs();
        if !dialogs.is_empty() {
            let said = |it: &Dialog| format!("{:?}, accepted: {}: {}\n", it.kind, it.accepted, it.text);
            let all = dialogs.iter().map(said).collect();
            evidence.push(text("dialogs", "text/plain", all, &secrets));
        }
        let requests = self.context().gate().map(|gate| gate.requests()).unwrap_or_default();
        if !requests.is_empty() {
            let all = requests.iter().map(|it| format!("{it}\n")).collect();
            evidence.push(text("requests", "text/plain", all, &secrets));
        }
        evidence
    }
}

fn text(name: &str, media_type: &str, text: String, secrets: &[String]) -> Evidence {
    let mut text = without(text, secrets);
    let length = text.len();
    if length > LARGEST_TEXT {
        text.truncate((0..=LARGEST_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0));
        text += &format!("\n(cut here: {LARGEST_TEXT} of {length} bytes)\n");
    }
    Evidence { name: name.to_owned(), media_type: media_type.to_owned(), bytes: text.into_bytes() }
}

/// The text with every secret taken out, also as it stands in HTML.
pub(super) fn without(mut text: String, secrets: &[String]) -> String {
    for secret in secrets.iter().filter(|secret| secret.chars().count() >= SHORTEST_SECRET) {
        let quoted = escaped(secret);
        for form in [secret.as_str(), &quoted, &quoted.replace('"', "&quot;")] {
            if text.contains(form) {
                text = text.replace(form, "(removed)");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_also_as_html_prints_them() {
        let secrets = ["a&b<c\"d".to_owned(), "x".to_owned()];
        let told = without("a&b<c\"d a&amp;b&lt;c\"d a&amp;b&lt;c&quot;d xyz".into(), &secrets);
        assert_eq!(told, "(removed) (removed) (removed) xyz");
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters_and_says_so() {
        let long = text("page", "text/html", "è".repeat(LARGEST_TEXT), &[]);
        let long = String::from_utf8(long.bytes).unwrap();
        assert!(long.len() < LARGEST_TEXT + 100);
        assert!(long.ends_with(&format!("(cut here: {LARGEST_TEXT} of {} bytes)\n", 2 * LARGEST_TEXT)));
    }
}
