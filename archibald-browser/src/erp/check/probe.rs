//! Looks at the elements that selectors match.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::{PageReport, Problem, Verdict};
use crate::text::shortened;

/// Characters that are shown of what a page says.
pub(super) const LONGEST: usize = 80;

/// Every selector by itself, so that a bad one spoils no other. What the flows wait for is waited for.
pub(super) const PROBE: &str = "async ({ selectors, awaited, patience }) => {
  const find = (selector) => {
    try { return Array.from(document.querySelectorAll(selector)); } catch { return null; }
  };
  const isShown = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && getComputedStyle(element).visibility === 'visible';
  };
  const isLate = (key) => {
    const found = find(selectors[key]);
    return found !== null && !(found[0] && isShown(found[0]));
  };
  const controlOf = (element) => {
    const pressed = element.closest('a, button, input') ?? element;
    const code = ['onclick', 'href'].map((it) => pressed.getAttribute(it) ?? '').join(' ');
    const target = /(?:__doPostBack|WebForm_PostBackOptions)\\(\\s*\\\\?['\"]([^'\"\\\\]+)/.exec(code);
    const submits = pressed.form && ['submit', 'image'].includes(pressed.type);
    return target?.[1] ?? (submits && pressed.name || null);
  };
  const end = performance.now() + patience;
  while (awaited.some(isLate) && performance.now() < end) await nextLook();
  return Object.fromEntries(Object.entries(selectors).map(([key, selector]) => {
    const found = find(selector);
    if (found === null) return [key, { valid: false }];
    const first = found[0];
    if (!first) return [key, {}];
    return [key, {
      count: found.length,
      tag: first.tagName.toLowerCase(),
      type: first.getAttribute('type')?.toLowerCase() ?? '',
      shown: isShown(first),
      usable: !first.matches(':disabled') && !first.readOnly,
      text: String('value' in first ? first.value : first.textContent).trim(),
      control: controlOf(first),
      texts: found.map((element) => element.textContent.trim()).filter((text) => text !== ''),
    }];
  }));
}";

#[derive(Debug, Serialize)]
pub(super) struct Probing<'a> {
    pub(super) selectors: BTreeMap<&'a str, &'a str>,
    pub(super) awaited: Vec<&'a str>,
    pub(super) patience: u64,
}

/// What a selector matches.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Matched {
    valid: bool,
    pub(super) count: usize,
    tag: String,
    r#type: String,
    shown: bool,
    usable: bool,
    pub(super) text: String,
    texts: Vec<String>,
    /// What a click on it posts, where its HTML tells.
    control: Option<String>,
}

impl Default for Matched {
    fn default() -> Self {
        let (tag, r#type, text) = (String::new(), String::new(), String::new());
        let (texts, control) = (Vec::new(), None);
        Self { valid: true, count: 0, tag, r#type, shown: false, usable: false, text, texts, control }
    }
}

/// What the flows use an element as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A text is typed into it.
    Typed,
    /// A password is typed into it, which nobody may read there.
    Password,
    /// It is typed into unless the page shows it for reading alone.
    TypedOrRead,
    /// It is clicked.
    Clicked,
    /// Its text is read.
    Read,
    /// Its text must be empty, if it is there.
    EmptyIfThere,
    /// It must not be there, or without a text.
    Silent,
    /// It must not be there.
    Absent,
}

/// A key, its selector and what for.
pub(super) type Wanted<'a> = (&'static str, &'a str, Use);

impl Use {
    /// Whether the flows wait for it.
    pub(super) fn is_awaited(self) -> bool {
        matches!(self, Self::Typed | Self::Password | Self::Clicked)
    }

    fn verdict(self, selector: &str, matched: &Matched) -> Verdict {
        let selector = || selector.to_owned();
        let wrong = Verdict::Wrong;
        if !matched.valid {
            return wrong(Problem::NoSelector(selector()));
        }
        match self {
            Self::Absent if matched.count > 0 => {
                return wrong(Problem::Unexpected(shortened(&matched.text, LONGEST)));
            }
            Self::Silent if !matched.texts.is_empty() => {
                return wrong(Problem::Unexpected(shortened(&matched.texts.join(" "), LONGEST)));
            }
            Self::EmptyIfThere if matched.count == 0 => {
                return Verdict::NotSeen("it is not on an empty form, and need not be".to_owned());
            }
            Self::Absent | Self::Silent => return Verdict::NotSeen("only there when it applies".to_owned()),
            _ => {}
        }
        if matched.count == 0 {
            return wrong(Problem::Missing(selector()));
        }
        if matched.count > 1 {
            return wrong(Problem::Several(selector(), matched.count));
        }
        if let Some(expected) = self.unfit(matched) {
            return wrong(Problem::Kind { selector: selector(), found: matched.name(), expected });
        }
        match self {
            Self::Typed | Self::Password | Self::Clicked if !matched.shown => {
                wrong(Problem::Hidden(selector()))
            }
            Self::Typed | Self::Password | Self::Clicked if !matched.usable => {
                wrong(Problem::Disabled(selector()))
            }
            Self::EmptyIfThere if !matched.text.is_empty() => {
                let text = shortened(&matched.text, LONGEST);
                wrong(Problem::Reads(format!("{} reads {text:?} where nothing is expected", selector())))
            }
            _ => Verdict::Found,
        }
    }

    /// What was expected of an element that cannot be used so.
    fn unfit(self, matched: &Matched) -> Option<&'static str> {
        let is_button = matched.tag == "button"
            || (matched.tag == "input"
                && matches!(&*matched.r#type, "submit" | "button" | "image" | "reset"));
        let is_choice = matched.tag == "input" && matches!(&*matched.r#type, "checkbox" | "radio" | "file");
        let is_hidden = matched.tag == "input" && matched.r#type == "hidden";
        let is_input = matched.tag == "input" && !is_button && !is_choice && !is_hidden;
        let is_field = is_input || matches!(&*matched.tag, "textarea" | "select");
        let is_secret = is_input && matched.r#type == "password";
        let is_whole = matches!(&*matched.tag, "html" | "body" | "form" | "table" | "tbody");
        match self {
            Self::Typed | Self::Password if !is_field => Some("a field to type into"),
            Self::Typed if is_secret => Some("a field that shows what is typed"),
            Self::Password if !is_secret => Some("a field for a password"),
            Self::TypedOrRead if is_button || is_choice || is_hidden => Some("a field or a text"),
            Self::Clicked if is_field || is_choice || is_hidden || is_whole => Some("something to click"),
            // What has a value of its own would be read in place of its text.
            Self::Read | Self::EmptyIfThere if is_button || is_choice || is_whole => Some("a text"),
            Self::Read | Self::EmptyIfThere | Self::TypedOrRead if matched.tag == "li" => Some("a text"),
            _ => None,
        }
    }
}

impl Matched {
    fn name(&self) -> String {
        if self.r#type.is_empty() {
            format!("<{}>", self.tag)
        } else {
            format!("<{} type={}>", self.tag, self.r#type)
        }
    }
}

/// Says of each key what became of it.
pub(super) fn judge(report: &mut PageReport, wanted: &[Wanted<'_>], matched: &BTreeMap<String, Matched>) {
    for (key, selector, use_) in wanted {
        if let Some(matched) = matched.get(*key) {
            report.add(*key, use_.verdict(selector, matched));
        }
    }
}

/// What is pressed to write has to post the control that the map calls so, since that is what the gate is armed for;
/// and what is pressed besides must post none of them.
pub(super) fn judge_writes(
    report: &mut PageReport,
    writes: &BTreeMap<String, String>,
    matched: &BTreeMap<String, Matched>,
) {
    for (key, it) in matched.iter().filter(|(_, it)| it.count == 1) {
        match (writes.get(key).filter(|_| is_write(key)), &it.control) {
            (Some(listed), Some(control)) if control != listed => {
                let (control, listed) = (control.clone(), listed.clone());
                report.wrong(key, Problem::Posts { control, listed });
            }
            (Some(_), None) => report.not_seen(key, "it is there, but its HTML does not tell what it posts"),
            (None, Some(control)) if is_pressed(key) && writes.values().any(|it| it == control) => {
                report.wrong(key, Problem::Writes(control.clone()));
            }
            _ => {}
        }
    }
}

/// What the flows press with leave of the fence.
fn is_write(key: &str) -> bool {
    matches!(key, "save" | "delete" | "send")
}

/// What the flows press on a page that writes, and that writes nothing.
fn is_pressed(key: &str) -> bool {
    matches!(key, "line_add" | "line_remove_last")
}
