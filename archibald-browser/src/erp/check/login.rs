//! The way in, tried once: an ERP that refuses often locks the account.

use super::names::Lists;
use super::probe::Use;
use super::report::{PageReport, Problem, Verdict};
use super::visit::{Aim, Visitor};
use crate::driver::{DriverError, Field};

/// Where the login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    In,
    Out,
}

impl Visitor<'_> {
    /// Looks at the login page without a session, and logs in.
    pub(super) async fn log_in(&mut self) -> Result<Entered, DriverError> {
        let mut report = PageReport::new("login", "");
        let entered = self.enter(&mut report).await?;
        self.done(report);
        Ok(if entered { Entered::In } else { Entered::Out })
    }

    async fn enter(&mut self, report: &mut PageReport) -> Result<bool, DriverError> {
        let (site, who) = (self.site, self.who);
        let (login, frame) = (&site.map.login, &site.map.frame);
        let aim = Aim { view: "", path: &login.path, thing: None };
        // It is the login page, so wanting a login is no fault of it.
        let mut arrived = PageReport::new("login", "");
        let _ = self.open(&mut arrived, &aim).await?;
        let wants_login = Problem::Elsewhere("a page that wants a login".to_owned());
        for finding in arrived.findings {
            let verdict = match finding.verdict {
                Verdict::Wrong(problem) if problem == wants_login => Verdict::Found,
                verdict => verdict,
            };
            if finding.key != "frame.user" {
                report.add(finding.key, verdict);
            }
        }
        self.take_picture(report).await;
        if report.is_wrong("path") {
            return Ok(false);
        }
        let wanted = [
            ("user", &*login.user, Use::Typed),
            ("password", &login.password, Use::Password),
            ("submit", &login.submit, Use::Clicked),
            ("refusal", &login.refusal, Use::Silent),
        ];
        self.probe(report, &wanted).await?;
        let lists = Lists::of_reading(&login.harmless, &login.fields, &frame.harmless);
        let names = self.names(report, &lists).await?;
        lists.judge(report, &names, None);
        if ["user", "password", "submit"].iter().any(|key| report.is_wrong(key)) {
            return Ok(false);
        }
        for (key, selector, value) in
            [("user", &login.user, &who.user), ("password", &login.password, &who.password)]
        {
            if !self.fill(report, key, Field { selector, value, posts_back: false }).await? {
                return Ok(false);
            }
        }
        if !self.click(report, "submit", &login.submit).await? {
            return Ok(false);
        }
        self.is_in(report).await
    }

    async fn is_in(&mut self, report: &mut PageReport) -> Result<bool, DriverError> {
        let login = &self.site.map.login;
        let wanted = [("refusal", &*login.refusal, Use::Silent), ("password", &login.password, Use::Absent)];
        let Some(matched) = self.look(report, &wanted).await? else { return Ok(false) };
        let there = |key: &str| matched.get(key).filter(|it| it.count > 0);
        if let Some(refusal) = there("refusal").filter(|it| !it.text.is_empty()) {
            report.add("refusal", Verdict::Found);
            report.wrong("credentials", Problem::LoginRefused(self.told(&refusal.text)));
            return Ok(false);
        }
        if there("password").is_some() {
            let why = "the ERP still asks for a password, and gives no reason at login.refusal";
            report.wrong("credentials", Problem::LoginRefused(why.to_owned()));
            return Ok(false);
        }
        report.add("credentials", Verdict::Found);
        Ok(true)
    }
}
