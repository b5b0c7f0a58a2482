//! Which request does what: pure, from the page map.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::uri::Authority;
use url::{Url, form_urlencoded};

use super::tls::Tls;
use super::traffic;

/// What the gate knows of the ERP.
#[derive(Debug, Clone)]
pub struct GateRules {
    origin: url::Origin,
    tls: Option<Arc<Tls>>,
    pages: BTreeMap<String, PageRules>,
    /// In lower case.
    skip: BTreeSet<String>,
}

/// The controls of one page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRules {
    /// The path of its address; upper and lower case are the same, as on the servers that serve it.
    pub path: String,
    /// Name of the write → its control.
    pub writes: BTreeMap<String, String>,
    /// Controls that post back and change nothing at the ERP.
    pub harmless: BTreeSet<String>,
    /// Parameters of its address that name the thing that it shows: not secret, and kept in evidence.
    pub parameters: BTreeSet<String>,
    /// Names of the form's fields, so that they are not taken for controls in a report.
    pub fields: BTreeSet<String>,
}

/// Rules that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The gate goes to web servers.
    #[error("the ERP's address must be https://HOST[:PORT] or http://HOST[:PORT], got {0}")]
    Address(String),
    /// One control both ways.
    #[error("page {page}: control {control} is listed twice")]
    Twice {
        /// The page's name.
        page: String,
        /// The control.
        control: String,
    },
}

/// What a request does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Harmless,
    Write {
        page: String,
        control: String,
        write: String,
    },
    Unknown {
        page: String,
        control: String,
    },
    /// Of another site.
    Foreign {
        page: String,
    },
}

impl GateRules {
    /// Rules for one ERP: page name → its controls. One at an https address needs [`GateRules::over_tls`] too.
    ///
    /// # Errors
    /// [`RuleError`] names what cannot be.
    pub fn new(base: &Url, pages: BTreeMap<String, PageRules>) -> Result<Self, RuleError> {
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(RuleError::Address(base.to_string()));
        }
        for (page, rules) in &pages {
            let mut seen = BTreeSet::new();
            if let Some(control) = rules.writes.values().chain(&rules.harmless).find(|it| !seen.insert(*it)) {
                return Err(RuleError::Twice { page: page.clone(), control: control.clone() });
            }
        }
        Ok(Self { origin: base.origin(), tls: None, pages, skip: BTreeSet::new() })
    }

    /// The same, for an ERP at an https address: how TLS is spoken.
    #[must_use]
    pub fn over_tls(self, tls: Arc<Tls>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    pub(super) fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref().filter(|_| self.is_https())
    }

    pub(super) fn is_https(&self) -> bool {
        matches!(&self.origin, url::Origin::Tuple(scheme, ..) if scheme == "https")
    }

    /// The host and port of what comes out of a tunnel to there: the ERP's own, or none.
    pub(super) fn tunnel(&self, to: &str) -> Option<Authority> {
        let origin = Url::parse(&format!("https://{to}")).ok()?.origin();
        let own = origin == self.origin;
        own.then(|| origin.ascii_serialization().strip_prefix("https://")?.parse().ok()).flatten()
    }

    /// The same, which never load what has one of these endings, such as `.png`: pictures and fonts that only
    /// a person needs.
    #[must_use]
    pub fn skipping(self, endings: &BTreeSet<String>) -> Self {
        Self { skip: endings.iter().map(|ending| ending.to_lowercase()).collect(), ..self }
    }

    /// Whether it is not worth a request. Nothing but a GET is ever left out.
    pub(super) fn skips(&self, method: &str, path: &str) -> bool {
        let path = path.to_lowercase();
        method == "GET" && self.skip.iter().any(|ending| path.ends_with(ending))
    }

    pub(super) fn kind(&self, method: &str, url: &str, content_type: &str, body: &[u8]) -> Kind {
        let page = url.split('?').next().unwrap_or_default().to_owned();
        let Some(url) = Url::parse(url).ok().filter(|url| url.origin() == self.origin) else {
            return Kind::Foreign { page };
        };
        if matches!(method, "GET" | "HEAD" | "OPTIONS") {
            return Kind::Harmless;
        }
        let Some((page, rules)) = self.page(url.path()) else {
            return Kind::Unknown { page, control: "any".into() };
        };
        let is_form = content_type.trim_start().starts_with("application/x-www-form-urlencoded");
        if is_form && method == "POST" {
            of_form(page, rules, body)
        } else {
            Kind::Unknown { page: page.into(), control: format!("a {method} of {content_type:?}") }
        }
    }

    /// An address as evidence shows it.
    pub(super) fn without_secrets(&self, url: &str) -> String {
        let parameters = self.pages.values().flat_map(|page| page.parameters.iter().cloned()).collect();
        traffic::without_secrets(url, &self.origin, &parameters)
    }

    fn page(&self, path: &str) -> Option<(&str, &PageRules)> {
        let (name, rules) = self.pages.iter().find(|(_, rules)| rules.path.eq_ignore_ascii_case(path))?;
        Some((name, rules))
    }
}

/// A WebForms server finds the control in three places, and a body can name several: a callback, the
/// target of a script, and every button whose name is in the body. All of them count: one write among
/// them makes it a write, one unknown target makes it unknown.
fn of_form(page: &str, rules: &PageRules, body: &[u8]) -> Kind {
    let mut named = BTreeSet::new();
    let mut strangers = BTreeSet::new();
    for (name, value) in form_urlencoded::parse(body) {
        let name = name.as_ref();
        match name {
            "__CALLBACKID" | "__EVENTTARGET" => {
                named.extend((!value.is_empty()).then(|| value.into_owned()));
            }
            _ if name.starts_with("__") => {}
            _ => {
                let control = name.strip_suffix(".x").or_else(|| name.strip_suffix(".y")).unwrap_or(name);
                let known = rules.harmless.contains(control) || rules.writes.values().any(|it| it == control);
                // A field that posts back by itself is in every body; only as a target is it a control.
                if rules.fields.contains(name) {
                } else if known {
                    named.insert(control.to_owned());
                } else {
                    strangers.insert(name.to_owned());
                }
            }
        }
    }
    let unknown = |control: String| Kind::Unknown { page: page.into(), control };
    let writes: Vec<_> = rules.writes.iter().filter(|(_, control)| named.contains(*control)).collect();
    let others = |control: &&String| {
        !rules.harmless.contains(*control) && !rules.writes.values().any(|it| it == *control)
    };
    match (writes.as_slice(), named.iter().find(others)) {
        (_, Some(stranger)) => unknown(stranger.clone()),
        ([(name, control)], None) => {
            Kind::Write { page: page.into(), control: (*control).clone(), write: format!("{page}.{name}") }
        }
        ([], None) if !named.is_empty() => Kind::Harmless,
        ([], None) => unknown(list(&strangers)),
        (_, None) => unknown(list(&named)),
    }
}

fn list(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "none named".into();
    }
    names.iter().map(String::as_str).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> GateRules {
        let order = PageRules {
            path: "/Order.aspx".into(),
            writes: [("save", "M$Save"), ("delete", "M$Delete")].map(|(k, v)| (k.into(), v.into())).into(),
            harmless: ["M$Add", "M$Lines", "M$Product"].map(String::from).into(),
            fields: ["M$Product", "M$Note"].map(String::from).into(),
            ..PageRules::default()
        };
        let base = Url::parse("http://erp.test:8090/").unwrap();
        GateRules::new(&base, [("order".to_owned(), order)].into()).unwrap()
    }

    fn check(url: &str, body: &str) -> String {
        match rules().kind("POST", url, "application/x-www-form-urlencoded", body.as_bytes()) {
            Kind::Harmless => "harmless".into(),
            Kind::Write { control, write, .. } => format!("write {write} ({control})"),
            Kind::Unknown { page, control } => format!("unknown {control} on {page}"),
            Kind::Foreign { page } => format!("foreign {page}"),
        }
    }

    #[test]
    fn the_control_in_the_body_decides() {
        let url = "http://erp.test:8090/order.ASPX?number=5";
        let cases = [
            ("__EVENTTARGET=&M%24Note=x&M%24Product=A&M%24Save=Salva", "write order.save (M$Save)"),
            ("__EVENTTARGET=&M%24Product=A&M%24Add=Aggiungi", "harmless"),
            ("__EVENTTARGET=M%24Lines&__EVENTARGUMENT=Page%242", "harmless"),
            ("__EVENTTARGET=M%24Product&M%24Product=A", "harmless"),
            ("__EVENTTARGET=M%24Delete&__ASYNCPOST=true", "write order.delete (M$Delete)"),
            ("__CALLBACKID=M%24Save&__EVENTTARGET=", "write order.save (M$Save)"),
            ("M%24Save.x=3&M%24Save.y=4", "write order.save (M$Save)"),
            // A harmless target does not hide the button beside it.
            ("__EVENTTARGET=M%24Lines&M%24Save=Salva", "write order.save (M$Save)"),
            ("__EVENTTARGET=M%24Send&M%24Save=Salva", "unknown M$Send on order"),
            ("__EVENTTARGET=M%24Delete&M%24Save=Salva", "unknown M$Delete or M$Save on order"),
            ("__EVENTTARGET=&M%24Product=A&M%24Send=Invia", "unknown M$Send on order"),
            ("M%24Product=A", "unknown none named on order"),
            ("", "unknown none named on order"),
        ];
        for (body, expected) in cases {
            assert_eq!(check(url, body), expected, "{body}");
        }
    }

    #[test]
    fn what_is_not_a_form_of_a_known_page_is_unknown() {
        let save = "M%24Save=1";
        assert_eq!(
            check("http://erp.test:8090/Other.aspx?x", save),
            "unknown any on http://erp.test:8090/Other.aspx"
        );
        assert_eq!(check("http://erp.test/Order.aspx", save), "foreign http://erp.test/Order.aspx");
        assert_eq!(
            check("https://erp.test:8090/Order.aspx", save),
            "foreign https://erp.test:8090/Order.aspx"
        );
        let url = "http://erp.test:8090/Order.aspx";
        let json = rules().kind("POST", url, "application/json", b"{}");
        assert!(matches!(json, Kind::Unknown { .. }), "{json:?}");
        let put = rules().kind("PUT", url, "application/x-www-form-urlencoded", b"M%24Add=1");
        assert!(matches!(put, Kind::Unknown { .. }), "{put:?}");
        assert_eq!(rules().kind("GET", url, "", b""), Kind::Harmless);
        let foreign = rules().kind("GET", "http://elsewhere/x.js?y", "", b"");
        assert_eq!(foreign, Kind::Foreign { page: "http://elsewhere/x.js".into() });
    }

    #[test]
    fn only_the_erp_s_own_tunnel_is_dug() {
        let rules = |base: &str| GateRules::new(&Url::parse(base).unwrap(), BTreeMap::new()).unwrap();
        let tunnel = |base: &str, to: &str| rules(base).tunnel(to).map(|it| it.to_string());
        assert_eq!(tunnel("https://erp.test/app/", "ERP.test:443").unwrap(), "erp.test");
        assert_eq!(tunnel("https://erp.test:8443/", "erp.test:8443").unwrap(), "erp.test:8443");
        assert_eq!(tunnel("https://[::1]:8443/", "[::1]:8443").unwrap(), "[::1]:8443");
        for to in ["erp.test:8443", "www.erp.test:443", "erp.test.evil:443", "erp.test:80", "", "a b:1"] {
            assert_eq!(tunnel("https://erp.test/", to), None, "{to}");
        }
        assert_eq!(tunnel("http://erp.test:443/", "erp.test:443"), None);
    }

    #[test]
    fn rules_that_cannot_be_kept_are_errors() {
        let other = Url::parse("ftp://erp.test/").unwrap();
        let error = GateRules::new(&other, BTreeMap::new()).unwrap_err();
        assert!(error.to_string().ends_with("got ftp://erp.test/"), "{error}");
        let both = PageRules {
            path: "/O".into(),
            writes: [("save".to_owned(), "S".to_owned())].into(),
            harmless: ["S".to_owned()].into(),
            ..PageRules::default()
        };
        let http = Url::parse("http://erp.test/").unwrap();
        let error = GateRules::new(&http, [("o".to_owned(), both)].into()).unwrap_err();
        assert_eq!(error.to_string(), "page o: control S is listed twice");
    }
}
