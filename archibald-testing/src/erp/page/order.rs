//! `Order.aspx`: one order, new or saved.

use super::order_form::{Draft, Typed};
use super::order_view::{OrderView, gone, not_found};
use super::{Post, Reaction, Show, Visit, World};
use crate::data::Customer;
use crate::erp::fault::WriteKind;
use crate::erp::html::{GRID_ROWS, esc, page_argument, pages};
use crate::erp::ledger::{Applied, EffectKind};
use crate::erp::site::{Site, gestionale};
use crate::erp::world::{Effect, Refusal};

/// Rows that the customer look-up answers.
const LOOKUP_ROWS: usize = 10;

pub(super) fn load(visit: &Visit, world: &World) -> Show {
    let asked = visit.query.get("number");
    if asked.is_empty() {
        return OrderView::new(visit, world, Draft::default(), Typed::default()).show();
    }
    let order = asked.parse().ok().and_then(|number| world.order_of(visit.user(), number));
    let Some(order) = order else { return not_found(visit.site) };
    OrderView::new(visit, world, Draft::of(order), Typed::of(order, visit.site)).show()
}

pub(super) fn post(visit: &Visit, world: &World, post: &Post) -> Reaction {
    let (draft, typed) = read(visit, world, post);
    match post.name() {
        "LineProduct" => {
            let wrong = world.refuse_product(&typed.product).filter(|_| !typed.product.is_empty());
            let refusals = wrong.map(|text| Refusal::at("LineProduct", text));
            Reaction::Show(OrderView::new(visit, world, draft, typed).refusing(refusals).show())
        }
        "AddLine" => Reaction::Show(add_line(visit, world, draft, typed)),
        "Lines" => match change_lines(draft, &post.argument) {
            Some(draft) => Reaction::Show(OrderView::new(visit, world, draft, typed).show()),
            None => Reaction::Invalid,
        },
        "CustomerPopup" if post.is_callback => Reaction::Callback(look_up(visit, world, &post.argument)),
        "CustomerPopup" => match post.argument.strip_prefix("Pick$") {
            Some(code) => pick_customer(visit, world, post, draft, typed, code),
            None => Reaction::Invalid,
        },
        "Save" | "SaveAnyway" => match typed.content(visit, &draft, world) {
            Ok(content) => Reaction::Write(Effect::SaveOrder { number: draft.number, content }),
            Err(refusals) => {
                Reaction::Show(OrderView::new(visit, world, draft, typed).refusing(refusals).show())
            }
        },
        "Delete" => with_number(&draft, |number| Effect::DeleteOrder { number }),
        "Send" => with_number(&draft, |number| Effect::SendOrder { number }),
        _ => Reaction::Invalid,
    }
}

pub(super) fn save_kind(post: &Post) -> WriteKind {
    match post.state::<Draft>().number {
        Some(_) => WriteKind::ChangedOrder,
        None => WriteKind::NewOrder,
    }
}

pub(super) fn written(visit: &Visit, world: &World, applied: &Applied) -> Show {
    let said = visit.site.said(applied);
    if applied.kind == EffectKind::OrderDeleted {
        return gone(visit.site, &said);
    }
    let order = applied.number.parse().ok().and_then(|number| world.order_of(visit.user(), number));
    let Some(order) = order else { return not_found(visit.site) };
    let view = OrderView::new(visit, world, Draft::of(order), Typed::of(order, visit.site));
    view.saying(said).show()
}

pub(super) fn refused(visit: &Visit, world: &World, post: &Post, text: &str) -> Show {
    let (draft, typed) = read(visit, world, post);
    OrderView::new(visit, world, draft, typed).refusing([Refusal::of_page(text)]).show()
}

pub(super) fn similar(visit: &Visit, world: &World, post: &Post) -> Show {
    let (draft, typed) = read(visit, world, post);
    OrderView::new(visit, world, draft, typed).asking().show()
}

/// The form as posted. A sent order's fields are disabled, so browsers do not post them: it speaks for itself.
fn read(visit: &Visit, world: &World, post: &Post) -> (Draft, Typed) {
    let draft: Draft = post.state();
    let sent = draft.number.and_then(|number| world.order_of(visit.user(), number)).filter(|o| o.is_sent());
    match sent {
        Some(order) => (Draft { page: draft.page, ..Draft::of(order) }, Typed::of(order, visit.site)),
        None => (draft, Typed::read(&post.form)),
    }
}

fn add_line(visit: &Visit, world: &World, mut draft: Draft, typed: Typed) -> Show {
    match typed.line(visit.site, world) {
        Ok(line) => {
            draft.lines.push(line);
            draft.dirty = true;
            draft.page = pages(draft.lines.len());
            OrderView::new(visit, world, draft, typed.without_line()).show()
        }
        Err(refusals) => OrderView::new(visit, world, draft, typed).refusing(refusals).show(),
    }
}

/// `Page$2` turns a page, `Remove$3` takes the third line out.
fn change_lines(mut draft: Draft, argument: &str) -> Option<Draft> {
    if let Some(page) = page_argument(argument) {
        return Some(Draft { page, ..draft });
    }
    let place: usize = argument.strip_prefix("Remove$")?.parse().ok()?;
    let at = place.checked_sub(1).filter(|at| *at < draft.lines.len())?;
    draft.lines.remove(at);
    draft.dirty = true;
    draft.page = at / GRID_ROWS + 1;
    Some(draft)
}

/// A row of the look-up was chosen: the customer's panel anew, or the whole page where no script asked.
fn pick_customer(
    visit: &Visit,
    world: &World,
    post: &Post,
    draft: Draft,
    mut typed: Typed,
    code: &str,
) -> Reaction {
    code.clone_into(&mut typed.customer);
    let view = OrderView::new(visit, world, draft, typed);
    if !post.form.is_async() {
        return Reaction::Show(view.show());
    }
    let (id, html) = match visit.site {
        Site::Archibald => ("ctl00_Main_CustomerPanel", view.customer("")),
        Site::Gestionale => (gestionale::CUSTOMER_PANEL, gestionale::customer_panel(&view, "")),
    };
    Reaction::Panel { id, html, state: view.state() }
}

/// The answer of the look-up's callback: at the first site `0|` and rows.
fn look_up(visit: &Visit, world: &World, text: &str) -> String {
    let text = text.to_lowercase();
    let fits = |part: &str| part.to_lowercase().contains(&text);
    let found = world.customers_of(visit.user()).filter(|c| fits(&c.code) || fits(&c.name));
    let found: Vec<&Customer> = found.take(LOOKUP_ROWS).collect();
    if visit.site == Site::Gestionale {
        return gestionale::found_customers(&found);
    }
    let row = |customer: &Customer| {
        let (code, name, city) = (esc(&customer.code), esc(&customer.name), esc(&customer.city));
        format!(
            r#"<tr class="row" data-code="{code}"><td class="code">{code}</td><td class="name">{name}</td><td class="city">{city}</td></tr>"#
        )
    };
    let rows: String = found.into_iter().map(row).collect();
    format!("0|{rows}")
}

fn with_number(draft: &Draft, effect: impl FnOnce(u64) -> Effect) -> Reaction {
    draft.number.map_or(Reaction::Invalid, |number| Reaction::Write(effect(number)))
}
