//! The forms: empty, with a thing of the list, and with one that is not there. None is saved.

use std::collections::BTreeSet;

use super::grids::{Place, Texts, unreadable};
use super::names::{Lists, Names};
use super::probe::{Use, Wanted, judge, judge_writes};
use super::report::{PageReport, Problem, Verdict};
use super::visit::{ABSENT, Aim, Visitor};
use crate::driver::{DriverError, Field};

const ONLY_WRITES: &str = "only said after a write";
const ASKED: &str = "only asked when it is pressed";
const NO_ORDER: &str = "the list of orders shows none";
const LINES: &str = "lines";
const NO_LINES: &str = "an empty order need not show it";
/// A number and a code that nothing has.
const NOBODY: &str = "999999999";

/// What a form of one thing is checked by.
struct Form<'a> {
    page: &'static str,
    path: &'a str,
    parameter: &'a str,
    /// The key of what names the thing, and its selector.
    name: (&'static str, &'a str),
    not_found: &'a str,
}

impl Visitor<'_> {
    /// `orders` and `products` are what the lists showed.
    pub(super) async fn order_forms(
        &mut self,
        orders: &[Texts],
        products: &[Texts],
    ) -> Result<(), DriverError> {
        let map = &self.site.map;
        let order = &map.order;
        let form = Form {
            page: "order",
            path: &order.path,
            parameter: &order.number_parameter,
            name: ("number", &order.number),
            not_found: &order.not_found,
        };
        let is_open = |row: &&Texts| row.get("state") != Some(&order.state_sent);
        let chosen = orders.iter().find(is_open).or(orders.first());
        let chosen = chosen.and_then(|row| row.get("number")).filter(|number| !number.is_empty());
        let mut needed = vec!["save"];
        let mut lists = Lists {
            writes: Some(&order.writes),
            needed: &[],
            harmless: &order.harmless,
            fields: &order.fields,
            frame: &map.frame.harmless,
        };
        let mut empty = PageReport::new("order", "new");
        let (seen, mut names) = self.empty_order(&mut empty, &lists, products).await?;
        let states: BTreeSet<_> = orders.iter().filter_map(|row| row.get("state")).collect();
        let mut existing = PageReport::new("order", "existing");
        match chosen {
            Some(number) => {
                let (is_open, more) = self.existing_order(&mut existing, &form, number, &lists).await?;
                names = names.and(more);
                if is_open {
                    needed.extend(["delete", "send"]);
                }
            }
            None => existing.not_seen("all keys", NO_ORDER),
        }
        let sent = states.contains(&order.state_sent);
        let unseen = || format!("no order that is listed is {:?}, they are {states:?}", order.state_sent);
        let state_sent = if sent { Verdict::Found } else { Verdict::NotSeen(unseen()) };
        existing.add("state_sent", state_sent);
        if seen != Seen::Nothing {
            lists.needed = &needed;
            let with_lines = seen == Seen::WithLines || has_lines(&existing);
            let unseen = (!with_lines).then_some("no order with lines could be looked at");
            lists.judge(&mut empty, &names, unseen);
        }
        for (key, why) in [
            ("saved", ONLY_WRITES),
            ("deleted", ONLY_WRITES),
            ("delete_question", ASKED),
            ("send_question", ASKED),
        ] {
            existing.not_seen(key, why);
        }
        self.done(empty);
        self.done(existing);
        self.absent(&form).await
    }

    /// The form of a new order; adds a line and takes it out.
    async fn empty_order(
        &mut self,
        report: &mut PageReport,
        lists: &Lists<'_>,
        products: &[Texts],
    ) -> Result<(Seen, Names), DriverError> {
        let order = &self.site.map.order;
        let aim = Aim { view: "new", path: &order.path, thing: None };
        if !self.open(report, &aim).await? {
            self.give_up(report).await;
            return Ok((Seen::Nothing, Names::default()));
        }
        let wanted = [
            ("number", &*order.number, Use::EmptyIfThere),
            ("not_found", &order.not_found, Use::Absent),
            ("customer", &order.customer, Use::Typed),
            ("date", &order.date, Use::Typed),
            ("reference", &order.reference, Use::Typed),
            ("note", &order.note, Use::Typed),
            ("validation", &order.validation, Use::Silent),
            ("line_product", &order.line_product, Use::Typed),
            ("line_quantity", &order.line_quantity, Use::Typed),
            ("line_discount", &order.line_discount, Use::Typed),
            ("line_add", &order.line_add, Use::Clicked),
            ("line_count", &order.line_count, Use::Read),
            ("save", &order.save, Use::Clicked),
            ("message", &order.message, Use::Absent),
        ];
        let matched = self.probe(report, &wanted).await?;
        let count = matched.get("line_count").filter(|it| it.count == 1 && it.text != "0");
        if let Some(count) = count {
            let why = format!("{} reads {:?} on an empty order, not \"0\"", order.line_count, count.text);
            report.wrong("line_count", Problem::Reads(why));
        }
        judge_writes(report, &order.writes, &matched);
        self.empty_grid(report, Place { key: LINES, grid: &order.lines }).await?;
        let names = self.names(report, lists).await?;
        self.take_picture(report).await;
        match self.one_line(report, lists, products).await? {
            Some(more) => Ok((Seen::WithLines, names.and(more))),
            None => Ok((Seen::Empty, names)),
        }
    }

    /// The flows read the lines only where there are some, and a site may show their grid only then.
    async fn empty_grid(&mut self, report: &mut PageReport, lines: Place<'_>) -> Result<(), DriverError> {
        let mut shown = PageReport::new(report.page, "");
        self.grid(&mut shown, lines).await?;
        for finding in shown.findings {
            match finding.verdict {
                Verdict::Wrong(Problem::Missing(_)) => report.not_seen(finding.key, NO_LINES),
                verdict => report.add(finding.key, verdict),
            }
        }
        Ok(())
    }

    /// Adds a line to the empty form, whose header stays empty, and takes it out again. `None` if there was none.
    async fn one_line(
        &mut self,
        report: &mut PageReport,
        lists: &Lists<'_>,
        products: &[Texts],
    ) -> Result<Option<Names>, DriverError> {
        let map = &self.site.map;
        let order = &map.order;
        let lines = Place { key: LINES, grid: &order.lines };
        let nothing = Ok(None);
        let is_sold = |row: &&Texts| row.get("discontinued") == Some(&map.products.discontinued_no);
        let product = products.iter().find(is_sold).and_then(|row| row.get("code"));
        let Some(product) = product.filter(|code| !code.is_empty()) else {
            report.not_seen("lines.rows", "the list of products shows none to try a line with");
            return nothing;
        };
        if ["line_product", "line_quantity", "line_discount", "line_add", "lines.present"]
            .iter()
            .any(|key| report.is_wrong(key))
        {
            return nothing;
        }
        for (key, selector, value, posts_back) in [
            ("line_product", &order.line_product, product.as_str(), true),
            ("line_quantity", &order.line_quantity, "1", false),
            ("line_discount", &order.line_discount, "0", false),
        ] {
            if !self.fill(report, key, Field { selector, value, posts_back }).await? {
                return nothing;
            }
        }
        if !self.press(report, "line_add", &order.line_add).await? {
            return nothing;
        }
        let wanted = [
            ("validation", &*order.validation, Use::Silent),
            ("line_count", &order.line_count, Use::Read),
            ("line_remove_last", &order.line_remove_last, Use::Clicked),
        ];
        let matched = self.look(report, &wanted).await?.unwrap_or_default();
        let refused = matched.get("validation").map(|it| it.text.clone()).filter(|text| !text.is_empty());
        if let Some(refused) = refused {
            report.not_seen("lines.rows", format!("the ERP refused a line of {product:?}: {refused}"));
            return nothing;
        }
        judge(report, &wanted[1..], &matched);
        judge_writes(report, &order.writes, &matched);
        let shown = self.grid(report, lines).await?.rows;
        self.take_picture(report).await;
        let is_line = |row: &Texts| row.get("product") == Some(product);
        if !matches!(shown.as_slice(), [line] if is_line(line)) && !report.is_wrong("lines.columns.product") {
            let why = format!("one line of {product:?} was added, and {} lines are shown", shown.len());
            report.wrong("lines.rows", Problem::Reads(why));
        }
        self.expect_lines(report, "1").await?;
        let names = self.names(report, lists).await?;
        if !report.is_wrong("line_remove_last")
            && self.press(report, "line_remove_last", &order.line_remove_last).await?
        {
            self.expect_lines(report, "0").await?;
        }
        Ok(Some(names))
    }

    async fn expect_lines(&mut self, report: &mut PageReport, expected: &str) -> Result<(), DriverError> {
        let selector = &*self.site.map.order.line_count;
        let matched = self.look(report, &[("line_count", selector, Use::Read)]).await?.unwrap_or_default();
        if let Some(count) = matched.get("line_count").filter(|it| it.count == 1 && it.text != expected) {
            let why = format!("{selector} reads {:?} where the order has {expected} lines", count.text);
            report.wrong("line_count", Problem::Reads(why));
        }
        Ok(())
    }

    /// An order of the list, for reading. Answers whether it could still be changed.
    async fn existing_order(
        &mut self,
        report: &mut PageReport,
        form: &Form<'_>,
        number: &str,
        lists: &Lists<'_>,
    ) -> Result<(bool, Names), DriverError> {
        let order = &self.site.map.order;
        if !self.open_thing(report, form, number).await? {
            return Ok((false, Names::default()));
        }
        let read = [
            ("number", &*order.number, Use::Read),
            ("not_found", &order.not_found, Use::Absent),
            ("state", &order.state, Use::Read),
            ("customer", &order.customer, Use::TypedOrRead),
            ("date", &order.date, Use::TypedOrRead),
            ("reference", &order.reference, Use::TypedOrRead),
            ("note", &order.note, Use::TypedOrRead),
            ("validation", &order.validation, Use::Silent),
            ("line_count", &order.line_count, Use::Read),
            ("message", &order.message, Use::Absent),
        ];
        let matched = self.probe(report, &read).await?;
        let text = |key: &str| matched.get(key).filter(|it| it.count == 1).map(|it| it.text.as_str());
        expect_name(report, "number", text("number"), number);
        if let Some(why) = text("date").and_then(|date| unreadable(&self.site.map, "date", date)) {
            report.wrong("date", Problem::Reads(why));
        }
        let is_open = text("state").is_some_and(|state| state != order.state_sent);
        let lines = Place { key: LINES, grid: &order.lines };
        let shown = self.grid(report, lines).await?;
        let whole = shown.rows.len().to_string();
        if let Some(count) = text("line_count").filter(|count| !shown.more && *count != whole) {
            let why = format!("reads {count:?} where {whole} lines are shown");
            report.wrong("line_count", Problem::Reads(why));
        }
        let changing: [Wanted<'_>; 8] = [
            ("save", &order.save, Use::Clicked),
            ("delete", &order.delete, Use::Clicked),
            ("send", &order.send, Use::Clicked),
            ("line_product", &order.line_product, Use::Typed),
            ("line_quantity", &order.line_quantity, Use::Typed),
            ("line_discount", &order.line_discount, Use::Typed),
            ("line_add", &order.line_add, Use::Clicked),
            ("line_remove_last", &order.line_remove_last, Use::Clicked),
        ];
        if is_open {
            let with_lines = if shown.rows.is_empty() { 7 } else { 8 };
            let matched = self.probe(report, &changing[..with_lines]).await?;
            judge_writes(report, &order.writes, &matched);
        } else {
            for (key, ..) in changing {
                report.not_seen(key, "the order is sent and cannot be changed");
            }
        }
        let names = self.names(report, lists).await?;
        self.next_page(report, lines, "lines.next", &shown).await?;
        Ok((is_open, names))
    }

    pub(super) async fn customer_forms(&mut self, customers: &[Texts]) -> Result<(), DriverError> {
        let map = &self.site.map;
        let customer = &map.customer;
        let form = Form {
            page: "customer",
            path: &customer.path,
            parameter: &customer.code_parameter,
            name: ("code", &customer.code),
            not_found: &customer.not_found,
        };
        let lists = Lists {
            writes: Some(&customer.writes),
            needed: &["save"],
            harmless: &customer.harmless,
            fields: &customer.fields,
            frame: &map.frame.harmless,
        };
        let keys = |name: Use| -> [Wanted<'_>; 13] {
            [
                ("code", &*customer.code, name),
                ("not_found", &customer.not_found, Use::Absent),
                ("name", &customer.name, Use::Typed),
                ("vat", &customer.vat, Use::Typed),
                ("street", &customer.street, Use::Typed),
                ("city", &customer.city, Use::Typed),
                ("postal_code", &customer.postal_code, Use::Typed),
                ("country", &customer.country, Use::Typed),
                ("email", &customer.email, Use::Typed),
                ("phone", &customer.phone, Use::Typed),
                ("validation", &customer.validation, Use::Silent),
                ("save", &customer.save, Use::Clicked),
                ("message", &customer.message, Use::Absent),
            ]
        };
        let mut empty = PageReport::new("customer", "new");
        let aim = Aim { view: "new", path: &customer.path, thing: None };
        if self.open(&mut empty, &aim).await? {
            let matched = self.probe(&mut empty, &keys(Use::EmptyIfThere)).await?;
            judge_writes(&mut empty, &customer.writes, &matched);
            self.take_picture(&mut empty).await;
            let names = self.names(&mut empty, &lists).await?;
            lists.judge(&mut empty, &names, None);
        } else {
            self.give_up(&mut empty).await;
        }
        self.done(empty);
        let mut existing = PageReport::new("customer", "existing");
        let code = customers.first().and_then(|row| row.get("code")).filter(|code| !code.is_empty());
        match code {
            None => existing.not_seen("all keys", "the list of customers shows none"),
            Some(code) => {
                if self.open_thing(&mut existing, &form, code).await? {
                    let matched = self.probe(&mut existing, &keys(Use::Read)).await?;
                    judge_writes(&mut existing, &customer.writes, &matched);
                    let shown = matched.get("code").filter(|it| it.count == 1);
                    expect_name(&mut existing, "code", shown.map(|it| it.text.as_str()), code);
                }
            }
        }
        existing.not_seen("saved", ONLY_WRITES);
        self.done(existing);
        self.absent(&form).await
    }

    async fn open_thing(
        &mut self,
        report: &mut PageReport,
        form: &Form<'_>,
        thing: &str,
    ) -> Result<bool, DriverError> {
        let view = report.view;
        let aim = Aim { view, path: form.path, thing: Some((form.parameter, thing)) };
        if !self.open(report, &aim).await? {
            self.give_up(report).await;
            return Ok(false);
        }
        self.take_picture(report).await;
        Ok(true)
    }

    /// What the site shows of a thing that it does not have.
    async fn absent(&mut self, form: &Form<'_>) -> Result<(), DriverError> {
        let mut report = PageReport::new(form.page, ABSENT);
        if self.open_thing(&mut report, form, NOBODY).await? {
            let matched = self
                .probe(
                    &mut report,
                    &[("not_found", form.not_found, Use::Read), (form.name.0, form.name.1, Use::Read)],
                )
                .await?;
            report.findings.retain(|finding| finding.key != form.name.0);
            let shown = matched.get(form.name.0).filter(|it| it.text == NOBODY);
            if shown.is_some() {
                report.findings.retain(|finding| finding.key != "not_found");
                report.not_seen("not_found", format!("there is a {} {NOBODY}", form.page));
            }
        }
        self.done(report);
        Ok(())
    }
}

/// How much of the form of a new order could be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Empty,
    WithLines,
}

/// Whether lines that can be taken out were there to be looked at.
fn has_lines(report: &PageReport) -> bool {
    report.findings.iter().any(|it| it.key == "line_remove_last" && it.verdict == Verdict::Found)
}

/// The page of a thing has to be that thing's.
fn expect_name(report: &mut PageReport, key: &'static str, shown: Option<&str>, wanted: &str) {
    if let Some(shown) = shown.filter(|shown| *shown != wanted) {
        let why = format!("reads {shown:?} on the page of {wanted:?}");
        report.wrong(key, Problem::Reads(why));
    }
}
