//! A page map held against a live site, which stays as it is.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use std::time::Duration;

use archibald_browser::PoolOptions;
use archibald_browser::erp::{MapReport, Site, Verdict, check_page_map};
use archibald_browser::launch::LaunchOptions;
use archibald_browser::page_map::PageMap;
use archibald_core::port::Credentials;
use archibald_testing::data::{DataSet, password_of};
use archibald_testing::erp::{RunningErp, Site as Look};
use tokio_util::sync::CancellationToken;

use common::assert_nothing_left;
use common::edited::{Edit, Edited};
use common::office::{other_site, simulator, simulator_as};
use common::tls::{Authority, Front};

/// Checks the map as the first agent, at a site whose pages are edited.
async fn check_edited(erp: &RunningErp, data: &DataSet, map: PageMap, edit: Edit) -> MapReport {
    let front = Edited::before(&erp.url(), edit).await;
    check_at(&front.url(), PoolOptions::default(), Duration::from_secs(20), map, &first(data)).await
}

/// Checks the map as the first agent, with this password if not his own.
async fn check(erp: &RunningErp, data: &DataSet, map: PageMap, password: Option<&str>) -> MapReport {
    let mut who = first(data);
    if let Some(password) = password {
        who.password = password.to_owned();
    }
    check_at(&erp.url(), PoolOptions::default(), Duration::from_secs(20), map, &who).await
}

async fn check_at(
    base: &str,
    options: PoolOptions,
    step: Duration,
    map: PageMap,
    who: &Credentials,
) -> MapReport {
    let profiles = tempfile::tempdir().unwrap();
    let launch = LaunchOptions { profiles: profiles.path().into(), ..LaunchOptions::default() };
    let options = PoolOptions { launch, ..options };
    let site = Site::new(map, base.parse().unwrap(), step);
    let report = check_page_map(options, site, who, &CancellationToken::new()).await.unwrap();
    assert_nothing_left(profiles.path());
    report
}

fn first(data: &DataSet) -> Credentials {
    let user = data.agents[0].user.clone();
    Credentials { password: password_of(&user), user }
}

/// `page: key: why`, one for each that is wrong.
fn wrong(report: &MapReport) -> Vec<String> {
    report.wrong().map(|(page, key, why)| format!("{}: {key}: {why}", page.name())).collect()
}

fn posts(erp: &RunningErp) -> Vec<String> {
    let posts = erp.stats().posts;
    posts.iter().flat_map(|(page, all)| all.keys().map(move |it| format!("{page} {it}"))).collect()
}

fn verdict<'a>(report: &'a MapReport, page: &str, key: &str) -> &'a Verdict {
    let page = report.pages.iter().find(|it| it.name() == page).unwrap();
    &page.findings.iter().find(|it| it.key == key).unwrap().verdict
}

#[tokio::test]
async fn the_embedded_map_fits_and_nothing_is_written() {
    let data = DataSet::generate(7, 3, 200);
    let erp = simulator(&data, true).await;
    let before = erp.ledger().len();
    let report = check(&erp, &data, PageMap::simulator().unwrap(), None).await;
    assert_eq!(wrong(&report), Vec::<String>::new());
    let names: Vec<_> = report.pages.iter().map(|page| page.name()).collect();
    assert_eq!(
        names,
        [
            "login",
            "start",
            "orders",
            "customers",
            "products",
            "prices",
            "order (new)",
            "order (existing)",
            "order (absent)",
            "customer (new)",
            "customer (existing)",
            "customer (absent)"
        ]
    );
    for page in &report.pages {
        let bytes = &page.picture.as_ref().unwrap().bytes;
        assert!(bytes.starts_with(b"\x89PNG"), "{}", page.name());
        let unlisted = page.findings.iter().filter(|it| it.verdict == Verdict::Unlisted);
        assert_eq!(unlisted.count(), 0, "{page:?}");
    }
    for (page, key) in [
        ("orders", "filter_date"),
        ("orders", "grid.next"),
        ("orders", "grid.columns.total"),
        ("order (new)", "line_remove_last"),
        ("order (new)", "lines.columns.quantity"),
        ("order (new)", "writes.delete ctl00$Main$Delete"),
        ("order (existing)", "send"),
        ("order (absent)", "not_found"),
        ("customer (existing)", "postal_code"),
    ] {
        assert_eq!(verdict(&report, page, key), &Verdict::Found, "{page} {key}");
    }
    assert_eq!(erp.ledger().len(), before);
    let writes = ["$Save", "$Delete", "$Send", "$SaveAnyway"];
    let posts = posts(&erp);
    assert!(posts.iter().any(|post| post.ends_with("$AddLine")), "{posts:?}");
    assert!(!posts.iter().any(|post| writes.iter().any(|write| post.ends_with(write))), "{posts:?}");
    erp.stop().await;
}

#[tokio::test]
async fn what_does_not_match_is_named_page_by_page_and_the_rest_is_checked() {
    let data = DataSet::generate(7, 3, 60);
    let erp = simulator(&data, true).await;
    let mut map = PageMap::simulator().unwrap();
    map.formats.date = "yyyy-mm-dd".into();
    map.prices.path = "/Listino.aspx".into();
    map.customers.grid.rows = "tr.riga".into();
    map.order.reference = "#ctl00_Main_Riferimento".into();
    map.order.note = "#ctl00_Main_AddLine".into();
    map.order.writes.insert("delete".into(), "ctl00$Main$Elimina".into());
    map.order.lines.columns.insert("price".into(), "td".into());
    map.customer.fields.insert("ctl00$Main$Fax".into());
    map.customer.phone = "input[".into();
    map.frame.harmless = ["ctl00$Esci".to_owned()].into();
    let report = check(&erp, &data, map, None).await;
    let expected = [
        "start: frame.harmless ctl00$Esci: is on no form of the page",
        "orders: grid.columns.date: in row 1, ",
        "customers: grid.rows: tr.riga matches nothing, though #ctl00_Main_Customers seems to have ",
        "prices: path: was answered with HTTP status 404",
        "order (new): reference: #ctl00_Main_Riferimento matches nothing",
        "order (new): note: #ctl00_Main_AddLine matches <input type=submit>, not a field to type into",
        "order (new): lines.columns.price: td matches 8 elements in row 1",
        "order (new): writes.delete ctl00$Main$Elimina: is on no form of the page",
        "order (existing): reference: #ctl00_Main_Riferimento matches nothing",
        "order (existing): note: #ctl00_Main_AddLine matches <input type=submit>, not a field or a text",
        "order (existing): date: ",
        "order (existing): lines.columns.price: td matches 8 elements in row 1",
        "order (existing): delete: posts the control ctl00$Main$Delete, and not ctl00$Main$Elimina",
        "customer (new): phone: input[ is not a CSS selector",
        "customer (new): fields ctl00$Main$Fax: is on no form of the page",
    ];
    let wrong = wrong(&report);
    assert_eq!(wrong.len(), expected.len(), "{wrong:#?}");
    for expected in expected {
        assert!(wrong.iter().any(|it| it.starts_with(expected)), "{expected} is not in {wrong:#?}");
    }
    let date = wrong.iter().find(|it| it.starts_with("orders: grid.columns.date")).unwrap();
    assert!(date.contains("yyyy-mm-dd") && date.contains("formats.date"), "{date}");
    for (page, control) in [("start", "control ctl00$Logout"), ("order (new)", "control ctl00$Main$Delete")] {
        assert_eq!(verdict(&report, page, control), &Verdict::Unlisted);
    }
    assert_eq!(verdict(&report, "products", "grid.columns.list_price"), &Verdict::Found);
    let unseen = verdict(&report, "customer (existing)", "all keys");
    assert!(matches!(unseen, Verdict::NotSeen(_)), "{unseen:?}");
    erp.stop().await;
}

#[tokio::test]
async fn a_control_that_the_gate_refuses_is_told_where_it_was_pressed() {
    let data = DataSet::generate(7, 3, 60);
    let erp = simulator(&data, true).await;
    let before = erp.ledger().len();
    let mut map = PageMap::simulator().unwrap();
    map.orders.harmless = ["ctl00$Main$Orders".to_owned()].into();
    // What adds a line is the button that saves: the worst that a map can say.
    map.order.line_add = map.order.save.clone();
    let report = check(&erp, &data, map, None).await;
    let wrong = wrong(&report);
    assert_eq!(
        wrong,
        [
            "orders: search: the gate refused the control ctl00$Main$Search: the page map does not know it",
            "order (new): line_add: posts the control ctl00$Main$Save, which is one of writes",
            "order (existing): line_add: posts the control ctl00$Main$Save, which is one of writes",
        ]
    );
    assert_eq!(erp.ledger().len(), before);
    assert!(!posts(&erp).iter().any(|post| post.ends_with("$Save")));
    erp.stop().await;
}

#[tokio::test]
async fn a_refused_login_is_tried_once_and_told() {
    let data = DataSet::generate(7, 3, 60);
    let erp = simulator(&data, false).await;
    let report = check(&erp, &data, PageMap::simulator().unwrap(), Some("not-hers")).await;
    let wrong = wrong(&report);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("login: credentials: the ERP refused the login: "), "{wrong:?}");
    assert!(!format!("{report:?}").contains("not-hers"));
    assert_eq!(verdict(&report, "login", "submit"), &Verdict::Found);
    assert!(matches!(verdict(&report, "order", "all keys"), Verdict::NotSeen(_)));
    let logins: u64 = erp.stats().posts.values().flat_map(|page| page.values()).sum();
    assert_eq!(logins, 1);
    erp.stop().await;
}

#[tokio::test]
async fn the_map_of_another_site_fits_there_and_nowhere_else() {
    let data = DataSet::generate(7, 3, 200);
    let erp = simulator_as(Look::Gestionale, &data, true).await;
    let before = erp.ledger().len();
    let report = check(&erp, &data, other_site(), None).await;
    assert_eq!(wrong(&report), Vec::<String>::new());
    for (page, key) in [
        ("orders", "filter_date"),
        ("orders", "grid.next"),
        ("order (new)", "line_remove_last"),
        ("order (existing)", "send"),
        ("customer (absent)", "not_found"),
    ] {
        assert_eq!(verdict(&report, page, key), &Verdict::Found, "{page} {key}");
    }
    // Rows that are no rows of a table are missed all the same.
    let mut map = other_site();
    map.products.grid.rows = "tr.row".into();
    map.formats.decimal = ',';
    map.formats.thousands = '.';
    let report = check(&erp, &data, map, None).await;
    let wrong = wrong(&report);
    let named = |key: &str| wrong.iter().any(|it| it.starts_with(key));
    assert!(named("products: grid.rows: tr.row matches nothing, though "), "{wrong:#?}");
    assert!(named("prices: grid.columns.price: ") && named("orders: grid.columns.total: "), "{wrong:#?}");
    let elsewhere = check(&erp, &data, PageMap::simulator().unwrap(), None).await;
    assert_eq!(elsewhere.wrong().next().map(|(page, key, _)| (page.page, key)), Some(("login", "path")));
    assert_eq!(erp.ledger().len(), before);
    erp.stop().await;
}

#[tokio::test]
async fn what_is_not_there_to_be_seen_is_no_fault_of_the_map() {
    // Nobody has an order, and every list fits on one page.
    let data = DataSet::generate(7, 3, 3);
    let erp = simulator(&data, false).await;
    let report = check(&erp, &data, PageMap::simulator().unwrap(), None).await;
    assert_eq!(wrong(&report), Vec::<String>::new());
    for (page, key) in [
        ("orders", "grid.rows"),
        ("orders", "grid.columns.date"),
        ("orders", "harmless ctl00$Main$Orders"),
        ("order (new)", "writes.send ctl00$Main$Send"),
        ("order (existing)", "all keys"),
    ] {
        let verdict = verdict(&report, page, key);
        assert!(matches!(verdict, Verdict::NotSeen(_)), "{page} {key}: {verdict}");
    }
    assert_eq!(verdict(&report, "order (new)", "line_remove_last"), &Verdict::Found);
    erp.stop().await;
}

#[tokio::test]
async fn a_step_that_does_not_end_has_a_deadline_and_the_visit_goes_on() {
    let data = DataSet::generate(7, 3, 60);
    let erp = simulator(&data, true).await;
    let mut map = PageMap::simulator().unwrap();
    // Nothing posts back when the quantity changes.
    map.order.line_product = map.order.line_quantity.clone();
    map.frame.user = "#ctl00_Utente".into();
    let report =
        check_at(&erp.url(), PoolOptions::default(), Duration::from_secs(3), map, &first(&data)).await;
    let wrong = wrong(&report);
    let late: Vec<_> = wrong.iter().filter(|it| !it.contains("frame.user")).collect();
    assert_eq!(late, ["order (new): line_product: waiting for the page after a change took longer than 3s"]);
    // Every page but the login's lacks the name, and each is looked at all the same.
    assert_eq!(wrong.len() - late.len(), report.pages.len() - 1, "{wrong:#?}");
    assert!(report.pages.iter().all(|page| page.picture.is_some()));
    assert_eq!(verdict(&report, "customer (existing)", "phone"), &Verdict::Found);
    erp.stop().await;
}

#[tokio::test]
async fn an_erp_that_is_not_there_is_told_in_the_gates_words() {
    let data = DataSet::generate(7, 3, 3);
    let erp = simulator(&data, false).await;
    let base = erp.url();
    erp.stop().await;
    let map = PageMap::simulator().unwrap();
    let report = check_at(&base, PoolOptions::default(), Duration::from_secs(10), map, &first(&data)).await;
    let wrong = wrong(&report);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("login: path: The gate says: "), "{wrong:?}");
}

#[tokio::test]
async fn an_erp_at_an_https_address_is_checked_like_any_other() {
    let data = DataSet::generate(7, 3, 60);
    let erp = simulator(&data, true).await;
    let authority = Authority::new();
    let front = Front::before(&erp.url(), authority.vouches_for("127.0.0.1")).await;
    let options = PoolOptions { erp_ca: Some(authority.file().into()), ..PoolOptions::default() };
    let (step, map) = (Duration::from_secs(20), PageMap::simulator().unwrap());
    let report = check_at(&front.url("/"), options, step, map, &first(&data)).await;
    assert_eq!(wrong(&report), Vec::<String>::new());
    erp.stop().await;
}

#[tokio::test]
async fn a_button_that_posts_another_control_than_writes_says_is_wrong() {
    let data = DataSet::generate(7, 3, 60);
    let erp = simulator(&data, true).await;
    let mut map = PageMap::simulator().unwrap();
    let writes = &mut map.order.writes;
    let (save, delete) = (writes["save"].clone(), writes["delete"].clone());
    writes.insert("save".into(), delete.clone());
    writes.insert("delete".into(), save.clone());
    // The worst: what sends counts as harmless, and another control of the page as what sends.
    let send = writes.insert("send".into(), "ctl00$Main$Note".into()).unwrap();
    map.order.harmless.insert(send);
    // In the page's place there is the gate's answer, and not a post of the page's own.
    map.order.harmless.remove("ctl00$Main$LineProduct");
    let report = check(&erp, &data, map, None).await;
    let posts = |key: &str, control: &str, listed: &str| {
        format!(
            "{key}: posts the control ctl00$Main${control}, and not ctl00$Main${listed}, which writes has for it"
        )
    };
    assert_eq!(
        wrong(&report),
        [
            "order (new): line_product: the gate refused the control ctl00$Main$LineProduct: the page map does \
             not know it"
                .to_owned(),
            format!("order (new): {}", posts("save", "Save", "Delete")),
            format!("order (existing): {}", posts("save", "Save", "Delete")),
            format!("order (existing): {}", posts("delete", "Delete", "Save")),
            format!("order (existing): {}", posts("send", "Send", "Note")),
        ]
    );
    assert_eq!(verdict(&report, "customer (new)", "save"), &Verdict::Found);
    erp.stop().await;
}

#[tokio::test]
async fn a_right_map_fits_pages_that_post_by_themselves_and_forms_that_show_less() {
    let data = DataSet::generate(7, 3, 60);
    let erp = simulator(&data, true).await;
    let report = check_edited(&erp, &data, PageMap::simulator().unwrap(), |_, html| {
        // The grid of the lines is there only with a line, a number and a code only where there is one.
        let is_empty = html.contains(r#"id="ctl00_Main_LineCount">0<"#);
        let html = if is_empty { html.replace(r#"id="ctl00_Main_Lines""#, "") } else { html };
        let html = html.replace(r#"<span id="ctl00_Main_Number"></span>"#, "");
        let html = html.replace(r#"<span id="ctl00_Main_Code"></span>"#, "");
        let ping = "<script>var ping = new XMLHttpRequest(); ping.open('POST', '/Alive.asmx/Ping', false); \
                    ping.setRequestHeader('Content-Type', 'application/json'); ping.send('{}');</script>";
        html.replace("</body>", &format!("{ping}</body>"))
    })
    .await;
    assert_eq!(wrong(&report), Vec::<String>::new());
    for (page, key) in [("order (new)", "number"), ("customer (new)", "code"), ("start", "background any")] {
        let verdict = verdict(&report, page, key);
        assert!(matches!(verdict, Verdict::NotSeen(_)), "{page} {key}: {verdict}");
    }
    for (page, key) in [
        ("login", "submit"),
        ("orders", "filter_date"),
        ("order (new)", "lines.present"),
        ("order (new)", "line_remove_last"),
        ("customer (existing)", "phone"),
    ] {
        assert_eq!(verdict(&report, page, key), &Verdict::Found, "{page} {key}");
    }
    erp.stop().await;
}

#[tokio::test]
async fn a_search_field_that_does_nothing_is_wrong() {
    let data = DataSet::generate(7, 3, 200);
    let erp = simulator(&data, true).await;
    let mut map = PageMap::simulator().unwrap();
    map.customers.search_text = "#elsewhere".into();
    let report = check_edited(&erp, &data, map, |path, html| {
        let html = html.replace("</h1>", r#"</h1><input type="text" id="elsewhere">"#);
        // A session in the path stays out of the report.
        if path.starts_with("/Prices") {
            let to = "<script>if (!location.pathname.startsWith('/(')) \
                      history.replaceState(null, '', '/(S(lit3py55t21z))/Login.aspx?x=1');</script></body>";
            return html.replace("</body>", to);
        }
        html
    })
    .await;
    let wrong = wrong(&report);
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[0].starts_with("customers: search_text: a search for "), "{wrong:?}");
    assert!(wrong[0].ends_with(" shows the list as it was"), "{wrong:?}");
    assert_eq!(wrong[1], "prices: path: leads to /(…)/Login.aspx");
    erp.stop().await;
}

#[tokio::test]
async fn a_password_is_typed_where_nobody_reads_it_and_is_not_repeated() {
    let data = DataSet::generate(7, 3, 3);
    let erp = simulator(&data, false).await;
    let mut map = PageMap::simulator().unwrap();
    std::mem::swap(&mut map.login.user, &mut map.login.password);
    let report = check(&erp, &data, map, None).await;
    assert_eq!(
        wrong(&report),
        [
            "login: user: #ctl00_Main_Password matches <input type=password>, not a field that shows what is typed",
            "login: password: #ctl00_Main_User matches <input type=text>, not a field for a password",
        ]
    );
    assert_eq!(posts(&erp), Vec::<String>::new());
    // An ERP that repeats what was typed, at length.
    let front = Edited::before(&erp.url(), |_, html| {
        html.replace("Nome utente o password non corretti.", &"Parola not-hers errata. ".repeat(100))
    })
    .await;
    let who = Credentials { password: "not-hers".into(), ..first(&data) };
    let (map, step) = (PageMap::simulator().unwrap(), Duration::from_secs(20));
    let report = check_at(&front.url(), PoolOptions::default(), step, map, &who).await;
    let wrong = wrong(&report);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].contains("Parola *** errata.") && wrong[0].len() < 400, "{wrong:?}");
    assert!(!format!("{report:?}").contains("not-hers"), "{report:?}");
    erp.stop().await;
}
