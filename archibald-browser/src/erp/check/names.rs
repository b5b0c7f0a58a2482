//! The names of controls: those of the map that a page does not have, and those of the page that the map lacks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::report::{PageReport, Problem, Verdict};

/// Names of the fields and buttons of all forms, targets of postbacks, and which names stand in scripts.
pub(super) const NAMES: &str = "({ known }) => {
  const named = Array.from(document.querySelectorAll('form [name]'));
  const isButton = (element) => element.matches('input[type=submit], input[type=image], button:not([type=button])');
  const isIdle = (element) => element.matches('input[type=button], input[type=reset], button[type=button], form *:is(a, iframe, img, map, meta, object)');
  const names = (elements) => elements.map((element) => element.getAttribute('name'))
    .filter((name) => name && !name.startsWith('__'));
  const scripts = Array.from(document.scripts, (script) => script.textContent);
  const handlers = Array.from(document.querySelectorAll('[href], [onclick], [onchange]'), (element) =>
    ['href', 'onclick', 'onchange'].map((it) => element.getAttribute(it) ?? '').join(' '));
  const code = [...scripts, ...handlers].join('\\n');
  const targets = Array.from(code.matchAll(/__doPostBack\\(\\s*\\\\?['\"]([^'\"\\\\]+)/g), (match) => match[1]);
  const isQuoted = (name) => [`'${name}'`, `\"${name}\"`, `'${name}\\\\'`].some((text) => code.includes(text));
  return {
    fields: names(named.filter((element) => !isButton(element) && !isIdle(element))),
    buttons: names(named.filter(isButton)),
    targets,
    quoted: known.filter(isQuoted),
  };
}";

#[derive(Debug, Serialize)]
pub(super) struct Known<'a> {
    known: Vec<&'a str>,
}

/// The names on a page, of all that was seen of it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Names {
    fields: BTreeSet<String>,
    buttons: BTreeSet<String>,
    targets: BTreeSet<String>,
    /// Of those that the map knows.
    quoted: BTreeSet<String>,
}

/// What the map says of a page's names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lists<'a> {
    pub(super) writes: Option<&'a BTreeMap<String, String>>,
    /// The writes that were to be seen.
    pub(super) needed: &'a [&'a str],
    pub(super) harmless: &'a BTreeSet<String>,
    pub(super) fields: &'a BTreeSet<String>,
    /// Of every page.
    pub(super) frame: &'a BTreeSet<String>,
}

impl<'a> Lists<'a> {
    /// Of a page that writes nothing.
    pub(super) fn of_reading(
        harmless: &'a BTreeSet<String>,
        fields: &'a BTreeSet<String>,
        frame: &'a BTreeSet<String>,
    ) -> Self {
        Self { writes: None, needed: &[], harmless, fields, frame }
    }

    pub(super) fn known(&self) -> Known<'_> {
        let writes = self.writes.into_iter().flat_map(BTreeMap::values);
        let known = writes.chain(self.harmless).chain(self.fields).chain(self.frame);
        Known { known: known.map(String::as_str).collect() }
    }

    /// `unseen` says why not all of the page was to be seen, if it was not.
    pub(super) fn judge(&self, report: &mut PageReport, names: &Names, unseen: Option<&str>) {
        let verdict = |is_there: bool| match (is_there, unseen) {
            (true, _) => Verdict::Found,
            (false, Some(why)) => Verdict::NotSeen(why.to_owned()),
            (false, None) => Verdict::Wrong(Problem::NotOnPage),
        };
        for (write, control) in self.writes.into_iter().flatten() {
            let verdict = match names.has(control) {
                true => Verdict::Found,
                false if self.needed.contains(&write.as_str()) => Verdict::Wrong(Problem::NotOnPage),
                false => Verdict::NotSeen("the page does not have it now".to_owned()),
            };
            report.add(format!("writes.{write} {control}"), verdict);
        }
        for control in self.harmless {
            report.add(format!("harmless {control}"), verdict(names.has(control)));
        }
        for field in self.fields {
            report.add(format!("fields {field}"), verdict(names.fields.contains(field)));
        }
        let known: BTreeSet<_> = self.known().known.into_iter().collect();
        for (what, all) in
            [("field", &names.fields), ("control", &names.buttons), ("control", &names.targets)]
        {
            for name in all.iter().filter(|name| !known.contains(name.as_str())) {
                report.add(format!("{what} {name}"), Verdict::Unlisted);
            }
        }
    }
}

impl Names {
    pub(super) fn and(mut self, other: Self) -> Self {
        self.fields.extend(other.fields);
        self.buttons.extend(other.buttons);
        self.targets.extend(other.targets);
        self.quoted.extend(other.quoted);
        self
    }

    pub(super) fn has(&self, name: &str) -> bool {
        [&self.fields, &self.buttons, &self.targets, &self.quoted].iter().any(|names| names.contains(name))
    }
}
