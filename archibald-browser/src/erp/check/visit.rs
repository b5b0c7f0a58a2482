//! One visitor, one page after the other; each step has a deadline, and none ends the visit but the browser's end, or
//! that it has no page to begin with.

use std::collections::BTreeMap;
use std::time::Duration;

use archibald_core::port::Credentials;

use super::names::{Lists, NAMES, Names};
use super::probe::{LONGEST, Matched, PROBE, Probing, Use, Wanted, judge};
use super::report::{MapReport, PageReport, Picture, Problem, Verdict, hidden};
use crate::driver::{Context, DriverError, Field, Limit, Page};
use crate::erp::Site;
use crate::erp::look::GATE_SAYS;
use crate::gate::{GateRefusal, Why};
use crate::text::shortened;

/// How long it is waited for what the flows would wait for, when it is not there at once.
const PATIENCE: Duration = Duration::from_secs(3);
/// What a picture may take.
const LOOKING: Duration = Duration::from_secs(10);
/// Bytes of a picture.
const LARGEST_PICTURE: usize = 4 * 1024 * 1024;

/// Goes over the pages in one session.
pub(super) struct Visitor<'a> {
    pub(super) site: &'a Site,
    context: &'a Context,
    pub(super) who: &'a Credentials,
    page: Page,
    reports: Vec<PageReport>,
}

/// Where to go: the view, the path, and the thing that is to be shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim<'a> {
    pub(super) view: &'static str,
    pub(super) path: &'a str,
    /// Parameter and value.
    pub(super) thing: Option<(&'a str, &'a str)>,
}

impl<'a> Visitor<'a> {
    pub(super) async fn new(
        site: &'a Site,
        context: &'a Context,
        who: &'a Credentials,
    ) -> Result<Self, DriverError> {
        let page = context.new_page().await?;
        Ok(Self { site, context, who, page, reports: Vec::new() })
    }

    pub(super) fn into_report(self) -> MapReport {
        MapReport { pages: self.reports }
    }

    pub(super) fn limit(&self) -> Limit {
        Limit::budget(self.site.step())
    }

    /// Opens a page and says whether it is that page, of this user's session.
    pub(super) async fn open(&mut self, report: &mut PageReport, aim: &Aim<'_>) -> Result<bool, DriverError> {
        // What took too long was destroyed.
        if self.page.why_gone().is_some() {
            let page = self.context.new_page().await;
            let Some(page) = self.step(report, "path", page)? else { return Ok(false) };
            self.page = page;
        }
        let limit = self.limit();
        let opened = match aim.thing {
            None => self.page.open(&limit, &self.site.address(aim.path)).await,
            Some((parameter, value)) => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                let query = query.append_pair(parameter, value).finish();
                self.page.open(&limit, &self.site.address(&format!("{}?{query}", aim.path))).await
            }
        };
        if self.step(report, "path", opened)?.is_none() {
            return Ok(false);
        }
        let state = self.page.state(&limit).await;
        let Some(state) = self.step(report, "path", state)? else { return Ok(false) };
        let shown = url::Url::parse(&state.url).ok();
        let is_there = shown.as_ref().is_some_and(|url| url.path().eq_ignore_ascii_case(aim.path));
        // A missing thing may well be a page of its own, if it is one that says so.
        let worst = if aim.view == ABSENT { 500 } else { 400 };
        if state.status >= worst {
            let said = self.gate_says(report).await?;
            report.wrong("path", said.map_or(Problem::Status(state.status), Problem::Failed));
        } else if is_there {
            report.add("path", Verdict::Found);
        } else {
            report.wrong("path", Problem::Elsewhere(self.path_of(shown)));
        }
        Ok(!report.is_wrong("path") && self.is_ours(report, "path").await?)
    }

    /// Whether what is shown after a step is a working page of this user's session. Without the user's name it
    /// is gone on with, so that the rest is seen too.
    pub(super) async fn is_ours(
        &mut self,
        report: &mut PageReport,
        key: &'static str,
    ) -> Result<bool, DriverError> {
        if self.was_refused(report, key).await? {
            return Ok(false);
        }
        let (frame, password) = (&self.site.map.frame, &self.site.map.login.password);
        let wanted = [
            ("frame.user", &*frame.user, Use::Read),
            ("frame.error", &frame.error, Use::Absent),
            ("frame.maintenance", &frame.maintenance, Use::Absent),
            ("login.password", password, Use::Absent),
        ];
        let Some(matched) = self.look(report, &wanted).await? else { return Ok(false) };
        let there = |key: &str| matched.get(key).filter(|it| it.count > 0);
        if there("login.password").is_some() {
            report.wrong(key, Problem::Elsewhere("a page that wants a login".to_owned()));
            return Ok(false);
        }
        let mut frame = PageReport::new("frame", "");
        judge(&mut frame, &wanted, &matched);
        let is_service = there("frame.error").or(there("frame.maintenance")).is_none();
        if let Some(user) = there("frame.user").filter(|user| user.text != self.who.user) {
            let text = format!("{:?} is not the agent's user", shortened(&user.text, LONGEST));
            frame.wrong("frame.user", Problem::Reads(text));
        }
        for finding in frame.findings {
            if report.page == "start" || matches!(finding.verdict, Verdict::Wrong(_)) {
                report.add(finding.key, finding.verdict);
            }
        }
        Ok(is_service)
    }

    /// Looks at the elements and says of each what became of it.
    pub(super) async fn probe(
        &mut self,
        report: &mut PageReport,
        wanted: &[Wanted<'_>],
    ) -> Result<BTreeMap<String, Matched>, DriverError> {
        let matched = self.look(report, wanted).await?.unwrap_or_default();
        judge(report, wanted, &matched);
        Ok(matched)
    }

    pub(super) async fn look(
        &mut self,
        report: &mut PageReport,
        wanted: &[Wanted<'_>],
    ) -> Result<Option<BTreeMap<String, Matched>>, DriverError> {
        let selectors = wanted.iter().map(|(key, selector, _)| (*key, *selector)).collect();
        let awaited = wanted.iter().filter(|(_, _, use_)| use_.is_awaited()).map(|(key, ..)| *key).collect();
        let patience = u64::try_from(PATIENCE.min(self.site.step() / 2).as_millis()).unwrap_or(0);
        let probing = Probing { selectors, awaited, patience };
        self.ask(report, PROBE, &probing).await
    }

    /// Asks the document that is shown.
    pub(super) async fn ask<T: serde::de::DeserializeOwned>(
        &mut self,
        report: &mut PageReport,
        script: &str,
        argument: &(impl serde::Serialize + Sync),
    ) -> Result<Option<T>, DriverError> {
        let told = self.page.evaluate(&self.limit(), "looking at the page", script, argument).await;
        self.step(report, "path", told)
    }

    pub(super) async fn names(
        &mut self,
        report: &mut PageReport,
        lists: &Lists<'_>,
    ) -> Result<Names, DriverError> {
        Ok(self.ask(report, NAMES, &lists.known()).await?.unwrap_or_default())
    }

    pub(super) async fn fill(
        &mut self,
        report: &mut PageReport,
        key: &'static str,
        field: Field<'_>,
    ) -> Result<bool, DriverError> {
        let filled = self.page.fill(&self.limit(), field).await;
        let filled = self.step(report, key, filled)?.is_some();
        if field.posts_back { Ok(filled && self.is_ours(report, key).await?) } else { Ok(filled) }
    }

    /// Clicks what posts back; whether a page of this session came of it.
    pub(super) async fn press(
        &mut self,
        report: &mut PageReport,
        key: &'static str,
        selector: &str,
    ) -> Result<bool, DriverError> {
        Ok(self.click(report, key, selector).await? && self.is_ours(report, key).await?)
    }

    pub(super) async fn click(
        &mut self,
        report: &mut PageReport,
        key: &'static str,
        selector: &str,
    ) -> Result<bool, DriverError> {
        let clicked = self.page.click_through(&self.limit(), selector).await;
        if self.step(report, key, clicked)?.is_none() {
            return Ok(false);
        }
        Ok(!self.was_refused(report, key).await?)
    }

    /// What is shown now; where that cannot be had, the picture before it stays.
    pub(super) async fn take_picture(&mut self, report: &mut PageReport) {
        let picture = self.page.picture(&self.limit().within(LOOKING), LARGEST_PICTURE).await;
        if let Ok((media_type, bytes)) = picture {
            report.picture = Some(Picture { media_type, bytes });
        }
    }

    pub(super) fn done(&mut self, mut report: PageReport) {
        // A page may print what was typed into it.
        report.hide(&self.who.password);
        self.reports.push(report);
    }

    /// The page as it is, where its keys could not be looked at.
    pub(super) async fn give_up(&mut self, report: &mut PageReport) {
        self.take_picture(report).await;
        report.not_seen("all other keys", "the page could not be used");
    }

    /// Nobody is logged in.
    pub(super) fn leave_out_the_rest(&mut self) {
        for page in ["start", "orders", "customers", "products", "prices", "order", "customer"] {
            let mut report = PageReport::new(page, "");
            report.not_seen("all keys", "nobody is logged in");
            self.done(report);
        }
    }

    /// Whether the gate answered the step in the page's place. What else it refused meanwhile the page posted by
    /// itself: the flows do without, and go on.
    async fn was_refused(&mut self, report: &mut PageReport, key: &'static str) -> Result<bool, DriverError> {
        let mut own = self.own_refusals();
        if own.is_empty() {
            return Ok(false);
        }
        let said = self.gate_says(report).await?;
        let problem = said.map(|said| {
            let is_this = |it: &GateRefusal| format!("The gate says: {it}").starts_with(&said);
            match own.iter().rposition(is_this).map(|place| own.remove(place)) {
                Some(GateRefusal { control, why, .. }) => Problem::Refused(format!("{control}: {why}")),
                None => Problem::Failed(said),
            }
        });
        for GateRefusal { control, why, .. } in &own {
            let why = format!("the page posts it by itself, and the gate refuses it: {why}");
            report.not_seen(format!("background {control}"), why);
        }
        let Some(problem) = problem else { return Ok(false) };
        report.wrong(key, problem);
        Ok(true)
    }

    /// What the gate refused of the ERP's own since the last look.
    fn own_refusals(&self) -> Vec<GateRefusal> {
        let refusals = self.context.gate().map(|gate| gate.take_refusals()).unwrap_or_default();
        refusals.into_iter().filter(|refusal| refusal.why != Why::Foreign).collect()
    }

    async fn gate_says(&mut self, report: &mut PageReport) -> Result<Option<String>, DriverError> {
        Ok(self.ask::<Option<String>>(report, GATE_SAYS, &()).await?.flatten())
    }

    /// Where a page is, without a session that stands in its address.
    fn path_of(&self, url: Option<url::Url>) -> String {
        let known = url.zip(self.context.gate()).map(|(mut url, gate)| {
            url.set_query(None);
            gate.without_secrets(url.as_str())
        });
        known.unwrap_or_else(|| "another page".to_owned())
    }

    /// What a page says, as it is reported: without the password, which it may repeat, and cut.
    pub(super) fn told(&self, text: &str) -> String {
        shortened(&hidden(text, &self.who.password), 3 * LONGEST)
    }

    /// Only the browser's end is an error.
    pub(super) fn step<T>(
        &self,
        report: &mut PageReport,
        key: &str,
        done: Result<T, DriverError>,
    ) -> Result<Option<T>, DriverError> {
        match done {
            Ok(value) => Ok(Some(value)),
            Err(error @ DriverError::BrowserLost { .. }) => Err(error),
            // Addresses may hold a session.
            Err(DriverError::Navigation { text, .. }) => {
                report.wrong(key, Problem::Failed(format!("cannot be opened: {text}")));
                Ok(None)
            }
            Err(error) => {
                // A request that was refused may be why no document came.
                let refused = self.own_refusals().pop();
                let refused = refused
                    .map(|GateRefusal { control, why, .. }| format!("; the gate refused {control}: {why}"));
                let why = self.told(&error.to_string()) + &refused.unwrap_or_default();
                report.wrong(key, Problem::Failed(why));
                Ok(None)
            }
        }
    }
}

/// The view of a thing that is not there.
pub(super) const ABSENT: &str = "absent";
