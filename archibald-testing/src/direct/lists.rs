//! The lists, a grid each on a page of its name: `Orders.aspx`, `Customers.aspx`, `Products.aspx`, `Prices.aspx`.

use std::collections::BTreeSet;

use archibald_core::erp::{
    Customer, CustomerPage, OrderPage, OrderQuery, OrderSummary, Price, PricePage, Product, ProductPage,
};
use archibald_core::port::ClientError;

use super::form::Form;
use super::italian;
use super::order;
use super::page::Row;
use super::tab::Tab;

/// Searches, and turns all pages of what is found.
pub(super) async fn find_orders(tab: &Tab, query: &OrderQuery) -> Result<Vec<OrderSummary>, ClientError> {
    let filters = [
        ("FilterReference", query.reference.clone()),
        ("FilterCustomer", query.customer.clone()),
        ("FilterDate", query.date.map(italian::date)),
    ];
    let mut found = understood(&search(tab, "Orders", filters).await?, summary)?;
    // A row that comes while pages are turned pushes another onto the next page: one bearer, not two.
    let mut seen = BTreeSet::new();
    found.retain(|order| seen.insert(order.number.clone()));
    Ok(found)
}

/// The same for customers, by a text.
pub(super) async fn find_customers(tab: &Tab, text: &str) -> Result<Vec<Customer>, ClientError> {
    let filters = [("SearchText", Some(text.to_owned()))];
    let mut found = understood(&search(tab, "Customers", filters).await?, customer)?;
    let mut seen = BTreeSet::new();
    found.retain(|customer| seen.insert(customer.code.clone()));
    Ok(found)
}

pub(super) async fn orders(tab: &Tab, wanted: u32) -> Result<OrderPage, ClientError> {
    let (rows, pages) = one_page(tab, "Orders", wanted).await?;
    Ok(OrderPage { orders: understood(&rows, summary)?, pages })
}

pub(super) async fn customers(tab: &Tab, wanted: u32) -> Result<CustomerPage, ClientError> {
    let (rows, pages) = one_page(tab, "Customers", wanted).await?;
    Ok(CustomerPage { customers: understood(&rows, customer)?, pages })
}

pub(super) async fn products(tab: &Tab, wanted: u32) -> Result<ProductPage, ClientError> {
    let (rows, pages) = one_page(tab, "Products", wanted).await?;
    Ok(ProductPage { products: understood(&rows, product)?, pages })
}

pub(super) async fn prices(tab: &Tab, wanted: u32) -> Result<PricePage, ClientError> {
    let (rows, pages) = one_page(tab, "Prices", wanted).await?;
    Ok(PricePage { prices: understood(&rows, price)?, pages })
}

/// The rows of one page of a list without a filter, and how many pages it has; past the end there are none.
async fn one_page(tab: &Tab, list: &str, wanted: u32) -> Result<(Vec<Row>, u32), ClientError> {
    let wanted = wanted.max(1);
    // The page before this one may be what is shown: then its pager leads on, and nothing is loaded twice.
    let before = tab.take_list().filter(|shown| {
        shown.pager(list).is_ok_and(|pager| pager.page + 1 == wanted && wanted <= pager.pages)
    });
    let mut page = match before {
        Some(before) => before,
        None => tab.open(&format!("/{list}.aspx"), &[]).await?,
    };
    let mut pager = page.pager(list)?;
    if pager.page != wanted && wanted <= pager.pages {
        page = tab.turn(&page, list, wanted).await?;
        pager = page.pager(list)?;
    }
    let rows = if pager.page == wanted { page.rows(list)? } else { Vec::new() };
    tab.keep_list(page);
    Ok((rows, pager.pages))
}

/// Fills the list's filters, presses Search, and turns all pages.
async fn search<const N: usize>(
    tab: &Tab,
    list: &str,
    filters: [(&str, Option<String>); N],
) -> Result<Vec<Row>, ClientError> {
    let mut form = Form::of(&tab.open(&format!("/{list}.aspx"), &[]).await?)?;
    for (name, text) in filters {
        form.fill(name, text.unwrap_or_default())?;
    }
    let page = tab.submit(form.press("Search")?).await?;
    if let Some(text) = page.refusal() {
        return Err(page.unrecognised("Search", "#ctl00_Main_ValidationSummary", text));
    }
    tab.every_row(page, list).await.map(|(rows, _)| rows)
}

fn understood<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T, ClientError>) -> Result<Vec<T>, ClientError> {
    rows.iter().map(read).collect()
}

/// Reads a row as one of every list, whatever it is of.
pub(super) fn read_any(row: &Row) {
    let _ = (summary(row), customer(row), product(row), price(row));
}

fn summary(row: &Row) -> Result<OrderSummary, ClientError> {
    Ok(OrderSummary {
        number: row.text("number")?.to_owned(),
        customer: row.text("customer")?.to_owned(),
        date: row.understand("date", italian::parse_date)?,
        reference: row.text("reference")?.to_owned(),
        sent: row.understand("state", order::sent)?,
        total: row.understand("total", italian::parse_decimal)?,
    })
}

fn customer(row: &Row) -> Result<Customer, ClientError> {
    Ok(Customer {
        code: row.text("code")?.to_owned(),
        name: row.text("name")?.to_owned(),
        vat: row.text("vat")?.to_owned(),
        street: String::new(),
        city: row.text("city")?.to_owned(),
        postal_code: String::new(),
        country: row.text("country")?.to_owned(),
        email: String::new(),
        phone: String::new(),
    })
}

fn product(row: &Row) -> Result<Product, ClientError> {
    Ok(Product {
        code: row.text("code")?.to_owned(),
        description: row.text("description")?.to_owned(),
        unit: row.text("unit")?.to_owned(),
        list_price: row.understand("price", italian::parse_decimal)?,
        discontinued: row.understand("discontinued", italian::parse_yes)?,
    })
}

fn price(row: &Row) -> Result<Price, ClientError> {
    Ok(Price {
        product: row.text("product")?.to_owned(),
        group: row.text("group")?.to_owned(),
        price: row.understand("price", italian::parse_decimal)?,
        discount: row.understand("discount", italian::parse_decimal)?,
    })
}
