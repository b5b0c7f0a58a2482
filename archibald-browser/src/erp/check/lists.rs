//! The start page and the pages that are lists.

use super::grids::{Place, Shown, Texts};
use super::names::{Lists, Names};
use super::probe::{Use, Wanted};
use super::report::{PageReport, Problem, Verdict};
use super::visit::{Aim, Visitor};
use crate::driver::{DriverError, Field};

const ONE_PAGE: &str = "the list has one page, and what turns pages is only there with more";

/// A page that is a list.
struct Spec<'a> {
    page: &'static str,
    path: &'a str,
    place: Place<'a>,
    filters: Vec<Filter<'a>>,
    search: Option<&'a str>,
    lists: Lists<'a>,
}

/// A field that a search goes by.
struct Filter<'a> {
    key: &'static str,
    selector: &'a str,
    /// Where the text for it is taken from.
    column: &'static str,
    /// Whether a row of these texts is what was searched for.
    fits: fn(&str, &str) -> bool,
}

impl Visitor<'_> {
    pub(super) async fn start(&mut self) -> Result<(), DriverError> {
        let map = &self.site.map;
        let none = Default::default();
        let lists = Lists::of_reading(&none, &none, &map.frame.harmless);
        let mut report = PageReport::new("start", "");
        let aim = Aim { view: "", path: &map.start.path, thing: None };
        if !self.open(&mut report, &aim).await? {
            self.give_up(&mut report).await;
            self.done(report);
            return Ok(());
        }
        self.take_picture(&mut report).await;
        let names = self.names(&mut report, &lists).await?;
        for control in &map.frame.harmless {
            let verdict =
                if names.has(control) { Verdict::Found } else { Verdict::Wrong(Problem::NotOnPage) };
            report.add(format!("frame.harmless {control}"), verdict);
        }
        lists.judge(&mut report, &names, None);
        self.done(report);
        Ok(())
    }

    pub(super) async fn orders(&mut self) -> Result<Vec<Texts>, DriverError> {
        let (list, frame) = (&self.site.map.orders, &self.site.map.frame);
        let filter = |key, selector, column, fits| Filter { key, selector, column, fits };
        self.list(Spec {
            page: "orders",
            path: &list.path,
            place: Place { key: "grid", grid: &list.grid },
            filters: vec![
                filter("filter_reference", &*list.filter_reference, "reference", |shown, typed| {
                    shown.to_lowercase().contains(&typed.to_lowercase())
                }),
                filter("filter_customer", &*list.filter_customer, "customer", |shown, typed| shown == typed),
                filter("filter_date", &*list.filter_date, "date", |shown, typed| shown == typed),
            ],
            search: Some(&list.search),
            lists: Lists::of_reading(&list.harmless, &list.fields, &frame.harmless),
        })
        .await
    }

    pub(super) async fn customers(&mut self) -> Result<Vec<Texts>, DriverError> {
        let (list, frame) = (&self.site.map.customers, &self.site.map.frame);
        self.list(Spec {
            page: "customers",
            path: &list.path,
            place: Place { key: "grid", grid: &list.grid },
            // What else a site finds by the same words is its own affair.
            filters: vec![Filter {
                key: "search_text",
                selector: &list.search_text,
                column: "name",
                fits: |_, _| true,
            }],
            search: Some(&list.search),
            lists: Lists::of_reading(&list.harmless, &list.fields, &frame.harmless),
        })
        .await
    }

    pub(super) async fn products(&mut self) -> Result<Vec<Texts>, DriverError> {
        let (list, frame) = (&self.site.map.products, &self.site.map.frame);
        self.list(Spec {
            page: "products",
            path: &list.path,
            place: Place { key: "grid", grid: &list.grid },
            filters: Vec::new(),
            search: None,
            lists: Lists::of_reading(&list.harmless, &list.fields, &frame.harmless),
        })
        .await
    }

    pub(super) async fn prices(&mut self) -> Result<(), DriverError> {
        let (list, frame) = (&self.site.map.prices, &self.site.map.frame);
        let spec = Spec {
            page: "prices",
            path: &list.path,
            place: Place { key: "grid", grid: &list.grid },
            filters: Vec::new(),
            search: None,
            lists: Lists::of_reading(&list.harmless, &list.fields, &frame.harmless),
        };
        self.list(spec).await.map(drop)
    }

    /// Answers the rows of the first page.
    async fn list(&mut self, spec: Spec<'_>) -> Result<Vec<Texts>, DriverError> {
        let mut report = PageReport::new(spec.page, "");
        let aim = Aim { view: "", path: spec.path, thing: None };
        if !self.open(&mut report, &aim).await? {
            self.give_up(&mut report).await;
            self.done(report);
            return Ok(Vec::new());
        }
        let search = spec.search.map(|selector| ("search", selector, Use::Clicked));
        let filters = spec.filters.iter().map(|filter| (filter.key, filter.selector, Use::Typed));
        let wanted: Vec<Wanted<'_>> = filters.chain(search).collect();
        self.probe(&mut report, &wanted).await?;
        let shown = self.grid(&mut report, spec.place).await?;
        self.take_picture(&mut report).await;
        let mut names = self.names(&mut report, &spec.lists).await?;
        self.next_page(&mut report, spec.place, "grid.next", &shown).await?;
        if shown.more && !report.is_wrong("grid.next") {
            names = names.and(self.names(&mut report, &spec.lists).await?);
        }
        self.judge_names(&mut report, &spec, &names, &shown);
        if let Some(search) = spec.search {
            self.searches(&mut report, &aim, &spec, search, &shown).await?;
        }
        self.done(report);
        Ok(shown.rows)
    }

    fn judge_names(&self, report: &mut PageReport, spec: &Spec<'_>, names: &Names, shown: &Shown) {
        spec.lists.judge(report, names, (!shown.more).then_some(ONE_PAGE));
    }

    /// Searches by each filter for what a row shows.
    async fn searches(
        &mut self,
        report: &mut PageReport,
        aim: &Aim<'_>,
        spec: &Spec<'_>,
        search: &str,
        shown: &Shown,
    ) -> Result<(), DriverError> {
        for filter in &spec.filters {
            let column = format!("grid.columns.{}", filter.column);
            if report.is_wrong("search") || report.is_wrong(filter.key) || report.is_wrong(&column) {
                continue;
            }
            let row = shown.rows.iter().find(|row| row.get(filter.column).is_some_and(|it| !it.is_empty()));
            let Some(row) = row else {
                report.not_seen(filter.key, "it is there, but the list shows nothing to search for");
                continue;
            };
            let typed = row.get(filter.column).cloned().unwrap_or_default();
            let field = Field { selector: filter.selector, value: &typed, posts_back: false };
            if !self.open(report, aim).await?
                || !self.fill(report, filter.key, field).await?
                || !self.press(report, "search", search).await?
            {
                continue;
            }
            // The grid was judged already: what a search shows of it is judged by the filter.
            let found = self.grid(&mut PageReport::new(spec.page, ""), spec.place).await?;
            let stranger = found
                .rows
                .iter()
                .find_map(|it| it.get(filter.column).filter(|it| !(filter.fits)(it, &typed)));
            let is_as_before = found.rows == shown.rows && is_mixed(&shown.rows, filter.column);
            if is_as_before && shown.more {
                let why = format!("a search for {typed:?} shows the list as it was");
                report.wrong(filter.key, Problem::Reads(why));
            } else if let Some(stranger) = stranger {
                let why = format!("a search for {typed:?} shows {stranger:?} too");
                report.wrong(filter.key, Problem::Reads(why));
            } else if !found.more && !found.rows.contains(row) {
                let why = format!("a search for {typed:?} does not show the row that has it");
                report.wrong(filter.key, Problem::Reads(why));
            } else if is_as_before {
                let why = format!("a search for {typed:?} shows all of the short list: look at it yourself");
                report.not_seen(filter.key, why);
            }
        }
        Ok(())
    }
}

/// Whether rows show different things, so that a search for one of them should leave some out.
fn is_mixed(rows: &[Texts], column: &str) -> bool {
    rows.iter().any(|row| row.get(column) != rows.first().and_then(|first| first.get(column)))
}
