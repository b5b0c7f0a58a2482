//! What a check found.

use std::fmt;

/// What the check of a page map found, page by page in the order in which they were visited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapReport {
    /// The pages.
    pub pages: Vec<PageReport>,
}

/// One visit to a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageReport {
    /// As the page map calls it.
    pub page: &'static str,
    /// Which of several visits: such as `new` or `existing`; empty where there is one.
    pub view: &'static str,
    /// What became of its keys.
    pub findings: Vec<Finding>,
    /// What it showed, if a picture could be had.
    pub picture: Option<Picture>,
}

/// A picture of a page.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// `image/png` or `image/jpeg`.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
}

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The key under its page, such as `grid.columns.date`; keys of every page with their table, `frame.user`.
    pub key: String,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is what the flows need.
    Found,
    /// It could not be seen this time, which need not be wrong: why.
    NotSeen(String),
    /// A field or control of the page's forms that is in no list of the map. The gate refuses what such a control
    /// posts; only what the flows press has to be listed.
    Unlisted,
    /// The flows would fail.
    Wrong(Problem),
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The selector matches nothing.
    #[error("{0} matches nothing")]
    Missing(String),
    /// The selector is none.
    #[error("{0} is not a CSS selector")]
    NoSelector(String),
    /// It matches several elements where one is expected.
    #[error("{0} matches {1} elements where one is expected")]
    Several(String, usize),
    /// What it matches cannot be seen.
    #[error("{0} matches what is not visible")]
    Hidden(String),
    /// What it matches cannot be used.
    #[error("{0} matches what is disabled or read-only")]
    Disabled(String),
    /// It matches something else than is expected.
    #[error("{selector} matches {found}, not {expected}")]
    Kind {
        /// The selector.
        selector: String,
        /// The element that it matches.
        found: String,
        /// What the flows use it as.
        expected: &'static str,
    },
    /// It shows something else than the flows can read.
    #[error("{0}")]
    Reads(String),
    /// Something is there that must not be.
    #[error("is there where it must not be: {0:?}")]
    Unexpected(String),
    /// A control's or field's name that the page does not have.
    #[error("is on no form of the page")]
    NotOnPage,
    /// A button posts another control than the map lists for its write.
    #[error("posts the control {control}, and not {listed}, which writes has for it")]
    Posts {
        /// What it posts.
        control: String,
        /// What the map says.
        listed: String,
    },
    /// What is to write nothing posts a control that writes.
    #[error("posts the control {0}, which is one of writes")]
    Writes(String),
    /// The page posted back by a control that the map does not allow.
    #[error("the gate refused the control {0}")]
    Refused(String),
    /// The page is not where the map says.
    #[error("leads to {0}")]
    Elsewhere(String),
    /// The server does not have the page.
    #[error("was answered with HTTP status {0}")]
    Status(u16),
    /// The ERP does not let the agent in. It was asked once.
    #[error("the ERP refused the login: {0}")]
    LoginRefused(String),
    /// A step did not come to its end.
    #[error("{0}")]
    Failed(String),
}

impl MapReport {
    /// Whether the flows would find everything that could be looked at.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.wrong().next().is_none()
    }

    /// What is wrong: page, key and why.
    pub fn wrong(&self) -> impl Iterator<Item = (&PageReport, &str, &Problem)> {
        self.pages.iter().flat_map(|page| {
            page.findings.iter().filter_map(move |finding| match &finding.verdict {
                Verdict::Wrong(problem) => Some((page, finding.key.as_str(), problem)),
                _ => None,
            })
        })
    }
}

impl PageReport {
    pub(super) fn new(page: &'static str, view: &'static str) -> Self {
        Self { page, view, findings: Vec::new(), picture: None }
    }

    /// What the page and the view are called together.
    #[must_use]
    pub fn name(&self) -> String {
        if self.view.is_empty() { self.page.to_owned() } else { format!("{} ({})", self.page, self.view) }
    }

    /// A key keeps what is wrong with it: what is found later does not take that back.
    pub(super) fn add(&mut self, key: impl Into<String>, verdict: Verdict) {
        let key = key.into();
        match self.findings.iter_mut().find(|finding| finding.key == key) {
            Some(Finding { verdict: Verdict::Wrong(_), .. }) => {}
            Some(finding) => finding.verdict = verdict,
            None => self.findings.push(Finding { key, verdict }),
        }
    }

    pub(super) fn wrong(&mut self, key: impl Into<String>, problem: Problem) {
        self.add(key, Verdict::Wrong(problem));
    }

    pub(super) fn not_seen(&mut self, key: impl Into<String>, why: impl Into<String>) {
        self.add(key, Verdict::NotSeen(why.into()));
    }

    /// Takes a secret out of every text. As a quoted one it may stand there too.
    pub(super) fn hide(&mut self, secret: &str) {
        for finding in &mut self.findings {
            match &mut finding.verdict {
                Verdict::NotSeen(text) => *text = hidden(text, secret),
                Verdict::Wrong(problem) => {
                    problem.texts().into_iter().for_each(|it| *it = hidden(it, secret))
                }
                Verdict::Found | Verdict::Unlisted => {}
            }
        }
    }

    pub(super) fn is_wrong(&self, key: &str) -> bool {
        let wrong = |it: &&Finding| it.key == key && matches!(it.verdict, Verdict::Wrong(_));
        self.findings.iter().find(wrong).is_some()
    }
}

impl Problem {
    fn texts(&mut self) -> Vec<&mut String> {
        match self {
            Self::NoSelector(text)
            | Self::Missing(text)
            | Self::Several(text, _)
            | Self::Hidden(text)
            | Self::Disabled(text)
            | Self::Reads(text)
            | Self::Unexpected(text)
            | Self::Writes(text)
            | Self::Refused(text)
            | Self::Elsewhere(text)
            | Self::LoginRefused(text)
            | Self::Failed(text) => vec![text],
            Self::Kind { selector, found, .. } => vec![selector, found],
            Self::Posts { control, listed } => vec![control, listed],
            Self::NotOnPage | Self::Status(_) => Vec::new(),
        }
    }
}

/// A text without the secret, as it is or between quotes.
pub(super) fn hidden(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.to_owned();
    }
    let quoted = format!("{secret:?}");
    text.replace(secret, "***").replace(quoted.trim_matches('"'), "***")
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found => f.write_str("found"),
            Self::NotSeen(why) => write!(f, "not seen: {why}"),
            Self::Unlisted => f.write_str("unlisted: in no list of the map"),
            Self::Wrong(problem) => write!(f, "WRONG: {problem}"),
        }
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}, {} bytes)", self.media_type, self.bytes.len())
    }
}
