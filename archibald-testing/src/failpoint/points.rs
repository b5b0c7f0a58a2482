/// A named place.
#[derive(Debug, PartialEq, Eq)]
pub struct Point {
    /// As specs and reports name it.
    pub name: &'static str,
    /// Where it is, in a line.
    pub place: &'static str,
}

const fn point(name: &'static str, place: &'static str) -> Point {
    Point { name, place }
}

/// Every point, in the order in which an operation passes them.
pub const POINTS: &[Point] = &[
    point("store.enqueue.before", "the request is checked, nothing is stored"),
    point("store.enqueue.after", "the operation is stored, the client has no answer"),
    point("bus.wake.after", "the worker was told that something waits, and has not read it"),
    point("store.waiting.before", "the worker is about to read what waits"),
    point("store.waiting.after", "the worker has read what waits"),
    point("store.survey.before", "the worker is about to sweep"),
    point("lock.reap.after", "a lease of the agent was ended, the worker does not know yet"),
    point("lock.lease.before", "the worker is about to lease the operation"),
    point("lock.lease.after", "the lease is committed, the worker does not know yet"),
    point("lock.renew.before", "the leases are about to be renewed"),
    point("lock.renew.after", "the leases are renewed, the worker does not know yet"),
    point("pool.acquire.before", "the attempt is about to ask for its session"),
    point("page.1", "the first command to a page, of the log-in or of the look at the warm session"),
    point("page.2", "the second command to a page"),
    point("page.3", "the third command to a page"),
    point("pool.acquire.after", "the session is there, the attempt does not know yet"),
    point("store.rows.before", "the attempt is about to read local rows"),
    point("store.rows.after", "the attempt has read local rows"),
    point("store.intend.before", "prepared, the intent not committed"),
    point("store.intend.after", "the intent is committed, the attempt does not know yet"),
    point("effect.intended", "the intent is committed, the page not touched yet"),
    point("client.act.before", "the client is about to be asked for the act"),
    point("page.type.1", "the first command to a page after the intent"),
    point("page.type.2", "the second command to a page after the intent"),
    point("page.type.3", "the third command to a page after the intent"),
    point("gate.open.before", "the form is typed and its request held, the gate not asked"),
    point("store.release.before", "the gate is about to commit `released`"),
    point("store.release.after", "`released` is committed, the gate does not know yet"),
    point("effect.released", "`released` is committed, no byte has left"),
    point("gate.open.after", "the gate is open, no byte has left"),
    point("client.act.after", "the client has the answer of the ERP, the attempt does not know yet"),
    point("effect.answered", "the act has ended, nothing is recorded"),
    point("store.answered.before", "about to note that the request was answered whole"),
    point("store.answered.after", "noted that the request was answered whole"),
    point("client.find_orders.before", "about to search the ERP for orders"),
    point("client.find_orders.after", "the ERP was searched for orders"),
    point("client.read_order.before", "about to read an order at the ERP"),
    point("client.read_order.after", "an order was read at the ERP"),
    point("client.find_customers.before", "about to search the ERP for customers"),
    point("client.find_customers.after", "the ERP was searched for customers"),
    point("client.read_customer.before", "about to read a customer at the ERP"),
    point("client.read_customer.after", "a customer was read at the ERP"),
    point("client.check_health.before", "about to see whether the prober reads what exists"),
    point("client.check_health.after", "the prober reads what exists"),
    point("client.read_page.before", "a sync is about to read a page of a list"),
    point("client.read_page.after", "a sync has read a page of a list"),
    point("store.checkpoint.before", "a page is read, its rows not committed"),
    point("store.checkpoint.after", "a page's rows and the place after it are committed"),
    point("store.record.before", "done at the ERP, the receipt not committed"),
    point("store.record.after", "the receipt is committed, the attempt does not know yet"),
    point("effect.recorded", "the receipt is committed, the operation not settled"),
    point("repair.intend.before", "found otherwise than wanted, the intent of the repair not committed"),
    point("repair.intend.after", "the intent of the repair is committed, the attempt does not know yet"),
    point("repair.act.before", "the client is about to be asked for the repair"),
    point("repair.type.1", "the first command to a page after the intent of the repair"),
    point("repair.type.2", "the second command to a page after the intent of the repair"),
    point("repair.gate.before", "the repair is typed and its request held, the gate not asked"),
    point("repair.release.before", "the gate is about to commit the repair's `released`"),
    point("repair.release.after", "the repair's `released` is committed, the gate does not know yet"),
    point("repair.gate.after", "the gate is open for the repair, no byte has left"),
    point("repair.act.after", "the client has the answer to the repair, the attempt does not know yet"),
    point("repair.answered", "the repair has ended, nothing is recorded"),
    point("repair.record.before", "repaired at the ERP, the receipt not committed"),
    point("repair.record.after", "the repair's receipt is committed, the effect's not"),
    point("session.finish.before", "about to give the session back"),
    point("session.finish.after", "the session is given back, nothing settled"),
    point("store.settle.before", "about to commit state, rows and events"),
    point("store.settle.after", "settled, the worker does not know yet"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_there_once_and_no_spec_would_misread_it() {
        let names: BTreeSet<&str> = POINTS.iter().map(|point| point.name).collect();
        assert_eq!(names.len(), POINTS.len());
        assert!(names.iter().all(|name| !name.contains(':')));
        assert!(POINTS.len() >= 30);
    }
}
