//! `Order.aspx`: one order, new or saved.

use super::order_form::{Draft, Typed};
use super::order_view::{OrderView, gone, not_found};
use super::{Post, Reaction, Show, Visit, World};
use crate::erp::fault::WriteKind;
use crate::erp::html::{GRID_ROWS, esc, page_argument, pages};
use crate::erp::ledger::{Applied, EffectKind};
use crate::erp::world::{Effect, Refusal};

/// Rows that the customer look-up answers.
const LOOKUP_ROWS: usize = 10;

pub(super) fn load(visit: &Visit, world: &World) -> Show {
    let asked = visit.query.get("number");
    if asked.is_empty() {
        return OrderView::new(visit, world, Draft::default(), Typed::default()).show();
    }
    let order = asked.parse().ok().and_then(|number| world.order_of(visit.user(), number));
    let Some(order) = order else { return not_found() };
    OrderView::new(visit, world, Draft::of(order), Typed::of(order)).show()
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
        "Save" | "SaveAnyway" => match typed.content(visit.user(), &draft, world) {
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
    let number = &applied.number;
    let done = match applied.kind {
        EffectKind::OrderDeleted => return gone(&format!("Ordine {number} eliminato.")),
        EffectKind::OrderSent => "inviato a Verona",
        _ => "salvato",
    };
    let order = number.parse().ok().and_then(|number| world.order_of(visit.user(), number));
    let Some(order) = order else { return not_found() };
    let view = OrderView::new(visit, world, Draft::of(order), Typed::of(order));
    view.saying(format!("Ordine {number} {done}.")).show()
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
        Some(order) => (Draft { page: draft.page, ..Draft::of(order) }, Typed::of(order)),
        None => (draft, Typed::read(&post.form)),
    }
}

fn add_line(visit: &Visit, world: &World, mut draft: Draft, typed: Typed) -> Show {
    match typed.line(world) {
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
    Reaction::Panel { id: "ctl00_Main_CustomerPanel", html: view.customer(""), state: view.state() }
}

/// The answer of the look-up's callback: `0|` and rows.
fn look_up(visit: &Visit, world: &World, text: &str) -> String {
    let text = text.to_lowercase();
    let fits = |part: &str| part.to_lowercase().contains(&text);
    let found = world.customers_of(visit.user()).filter(|c| fits(&c.code) || fits(&c.name));
    let row = |customer: &crate::data::Customer| {
        let (code, name, city) = (esc(&customer.code), esc(&customer.name), esc(&customer.city));
        format!(
            r#"<tr class="row" data-code="{code}"><td class="code">{code}</td><td class="name">{name}</td><td class="city">{city}</td></tr>"#
        )
    };
    let rows: String = found.take(LOOKUP_ROWS).map(row).collect();
    format!("0|{rows}")
}

fn with_number(draft: &Draft, effect: impl FnOnce(u64) -> Effect) -> Reaction {
    draft.number.map_or(Reaction::Invalid, |number| Reaction::Write(effect(number)))
}
