//! The lists: `Orders.aspx` and `Customers.aspx`.

use std::collections::BTreeSet;

use archibald_core::erp::{Customer, CustomerPage, OrderQuery, OrderSummary};
use archibald_core::port::ClientError;

use super::form::Form;
use super::italian;
use super::order;
use super::page::Row;
use super::tab::Tab;

/// Searches, and turns all pages of what is found.
pub(super) async fn orders(tab: &Tab, query: &OrderQuery) -> Result<Vec<OrderSummary>, ClientError> {
    let mut form = Form::of(&tab.open("/Orders.aspx", &[]).await?)?;
    form.fill("FilterReference", query.reference.clone().unwrap_or_default())?;
    form.fill("FilterCustomer", query.customer.clone().unwrap_or_default())?;
    form.fill("FilterDate", query.date.map(italian::date).unwrap_or_default())?;
    let page = tab.submit(form.press("Search")?).await?;
    if let Some(text) = page.refusal() {
        return Err(page.unrecognised("Search", "#ctl00_Main_ValidationSummary", text));
    }
    let rows = tab.every_row(page, "Orders").await?;
    let mut found = rows.iter().map(summary).collect::<Result<Vec<_>, _>>()?;
    // An order that comes while pages are turned pushes a row onto the next page: one bearer, not two.
    let mut seen = BTreeSet::new();
    found.retain(|order| seen.insert(order.number.clone()));
    Ok(found)
}

/// One page of the customers; past the end there is nobody.
pub(super) async fn customers(tab: &Tab, wanted: u32) -> Result<CustomerPage, ClientError> {
    let mut page = tab.open("/Customers.aspx", &[]).await?;
    let pages = page.pager("Customers")?.pages;
    if wanted > pages {
        return Ok(CustomerPage { customers: Vec::new(), pages });
    }
    if wanted > 1 {
        page = tab.turn(&page, "Customers", wanted).await?;
    }
    let pages = page.pager("Customers")?.pages;
    let customers = page.rows("Customers")?.iter().map(customer).collect::<Result<_, _>>()?;
    Ok(CustomerPage { customers, pages })
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
