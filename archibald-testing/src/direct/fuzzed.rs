//! What must hold of any HTML that is read here: for whoever looks for pages of which it does not.

use url::Url;

use super::form::Form;
use super::html::{Document, without_passwords};
use super::page::Page;
use super::wire::Answer;
use super::{customer, lists, order};

/// The grids that pages have.
const GRIDS: [&str; 5] = ["Orders", "Customers", "Products", "Prices", "Lines"];

/// Reads the HTML as every page that there is.
///
/// # Panics
/// Where a promise is broken: an element has what stands inside of it and no more, a field keeps what it held, no
/// password is left in what is shown to people, and what cannot be understood is told by its name.
pub fn read_page(status: u16, html: &str) {
    inside_is_inside(&Document::read(html));
    no_password_is_left(html);
    let Ok(url) = Url::parse("http://127.0.0.1:8090/Order.aspx?number=5") else { return };
    let answer = Answer { url, status, location: None, body: html.to_owned() };
    let Ok(page) = Page::of_session(&answer) else { return };
    for grid in GRIDS {
        let Ok(rows) = page.rows(grid) else { continue };
        let _ = page.pager(grid);
        for row in &rows {
            lists::read_any(row);
            order::read_any(row);
        }
    }
    if let Ok(form) = Form::of(&page) {
        let pressed = form.clone().press("Save").ok().and_then(|asked| asked.form);
        assert!(pressed.is_none_or(|body| body.contains("ctl00%24Main%24Save=")), "what is pressed is sent");
        let asked = form.post_back("Lines", "Page$2");
        assert!(asked.form.is_some_and(|body| body.contains("Page%242")), "what is posted back is sent");
    }
    if let Ok(customer) = customer::read(&page) {
        assert_eq!(page.text("Code"), Some(customer.code.as_str()));
    }
    let _ = (page.user(), page.refusal(), order::is_sent(&page), order::line_count(&page));
}

fn inside_is_inside(document: &Document) {
    for element in document.elements() {
        let text = document.text(element);
        for inner in ["tr", "td", "li", "span", "b"] {
            for inner in document.within(element, inner) {
                assert!(text.contains(document.text(inner)), "{inner:?} is in {element:?}");
            }
        }
        assert!(
            document.value(element).len() <= text.len().max(element.attribute("value").map_or(0, str::len))
        );
    }
}

fn no_password_is_left(html: &str) {
    let clean = without_passwords(html);
    let is_password = |kind: &str| kind.eq_ignore_ascii_case("password");
    for field in Document::read(&clean).elements().iter().filter(|it| it.is("input")) {
        let hides = field.attribute("type").is_some_and(is_password);
        assert!(!hides || field.attribute("value").is_none(), "{clean}");
    }
    assert_eq!(without_passwords(&clean), clean, "nothing is left to be taken out");
}
