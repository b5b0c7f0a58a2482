use super::kept::Kept;
use super::slab::{Key, NONE, Slab};

/// Tickets by rank: position, then operation.
///
/// What comes in order, which is nearly everything, is a list that is linked through the tickets: a step at
/// either end. What comes in between is a pairing heap through the same links, so that no order of arrival
/// costs more than O(log n) a ticket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queue {
    first: Key,
    last: Key,
    heap: Key,
}

impl Default for Queue {
    fn default() -> Self {
        Self { first: NONE, last: NONE, heap: NONE }
    }
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.first == NONE && self.heap == NONE
    }

    pub(super) fn push(&mut self, tickets: &mut Slab<Kept>, key: Key) {
        tickets[key].heaped = false;
        if self.first == NONE {
            tickets[key].next = NONE;
            (self.first, self.last) = (key, key);
        } else if goes_first(tickets, self.last, key) {
            tickets[self.last].next = key;
            let ticket = &mut tickets[key];
            (ticket.prev, ticket.next) = (self.last, NONE);
            self.last = key;
        } else if goes_first(tickets, key, self.first) {
            tickets[self.first].prev = key;
            tickets[key].next = self.first;
            self.first = key;
        } else {
            let ticket = &mut tickets[key];
            (ticket.heaped, ticket.child, ticket.next, ticket.prev) = (true, NONE, NONE, NONE);
            self.heap = meld(tickets, self.heap, key);
        }
    }

    /// Who goes first, or [`NONE`].
    pub(super) fn first(&self, tickets: &Slab<Kept>) -> Key {
        match (self.first, self.heap) {
            (first, NONE) => first,
            (NONE, heap) => heap,
            (first, heap) if goes_first(tickets, first, heap) => first,
            (_, heap) => heap,
        }
    }

    /// Has the processor fetch who goes first, if that is one of the list.
    pub(super) fn prefetch(&self, tickets: &Slab<Kept>) {
        tickets.prefetch(self.first);
    }

    /// As [`prefetch`](Self::prefetch), who goes last of the list.
    pub(super) fn prefetch_last(&self, tickets: &Slab<Kept>) {
        tickets.prefetch(self.last);
    }

    pub(super) fn remove(&mut self, tickets: &mut Slab<Kept>, key: Key) {
        let Kept { heaped, next, prev, .. } = tickets[key];
        if heaped {
            return self.remove_from_heap(tickets, key);
        }
        // What the first one has before it is not kept up: nobody asks, and it would be one more look.
        if key == self.first {
            self.first = next;
            self.last = if next == NONE { NONE } else { self.last };
            return;
        }
        tickets[prev].next = next;
        match key == self.last {
            true => self.last = prev,
            false => tickets[next].prev = prev,
        }
    }

    /// How many there are. Linear in the queue.
    pub(super) fn len(&self, tickets: &Slab<Kept>) -> u64 {
        let mut len = 0;
        self.each(tickets, |_| len += 1);
        len
    }

    /// How many go before this ticket. Linear in the queue.
    pub(super) fn ahead_of(&self, tickets: &Slab<Kept>, key: Key) -> u64 {
        let mut ahead = 0;
        self.each(tickets, |other| ahead += u64::from(other != key && goes_first(tickets, other, key)));
        ahead
    }

    /// Each of them, in no order.
    pub(super) fn each(&self, tickets: &Slab<Kept>, mut see: impl FnMut(Key)) {
        let mut listed = self.first;
        while listed != NONE {
            see(listed);
            listed = tickets[listed].next;
        }
        let mut open: Vec<Key> = vec![self.heap];
        while let Some(key) = open.pop() {
            if key != NONE {
                see(key);
                open.extend([tickets[key].child, tickets[key].next]);
            }
        }
    }

    fn remove_from_heap(&mut self, tickets: &mut Slab<Kept>, key: Key) {
        let Kept { next, prev, child, .. } = tickets[key];
        let rest = merge(tickets, child);
        if key == self.heap {
            self.heap = rest;
            return;
        }
        match tickets[prev].child == key {
            true => tickets[prev].child = next,
            false => tickets[prev].next = next,
        }
        if next != NONE {
            tickets[next].prev = prev;
        }
        self.heap = meld(tickets, self.heap, rest);
    }
}

pub(super) fn goes_first(tickets: &Slab<Kept>, one: Key, other: Key) -> bool {
    let rank = |key: Key| (tickets[key].position, tickets[key].operation);
    rank(one) < rank(other)
}

/// Two heaps as one; each is a root without siblings, or [`NONE`].
fn meld(tickets: &mut Slab<Kept>, one: Key, other: Key) -> Key {
    let (root, below) = match (one, other) {
        (NONE, root) | (root, NONE) => return root,
        (one, other) if goes_first(tickets, one, other) => (one, other),
        (one, other) => (other, one),
    };
    let child = tickets[root].child;
    if child != NONE {
        tickets[child].prev = below;
    }
    (tickets[below].next, tickets[below].prev) = (child, root);
    tickets[root].child = below;
    root
}

/// Siblings as one heap: in pairs from the left, and those from the right.
fn merge(tickets: &mut Slab<Kept>, mut siblings: Key) -> Key {
    let mut pairs = NONE;
    while siblings != NONE {
        let one = cut(tickets, &mut siblings);
        let other = if siblings == NONE { NONE } else { cut(tickets, &mut siblings) };
        let pair = meld(tickets, one, other);
        tickets[pair].next = pairs;
        pairs = pair;
    }
    let mut heap = NONE;
    while pairs != NONE {
        let pair = cut(tickets, &mut pairs);
        heap = meld(tickets, heap, pair);
    }
    heap
}

/// The first of the siblings, alone.
fn cut(tickets: &mut Slab<Kept>, siblings: &mut Key) -> Key {
    let first = *siblings;
    *siblings = tickets[first].next;
    (tickets[first].next, tickets[first].prev) = (NONE, NONE);
    first
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::id::{AgentId, OperationId, OperationKind};
    use crate::operation::{Class, Step};
    use crate::scheduler::Ticket;
    use crate::time::Timestamp;

    fn kept(position: u64, n: u128) -> Kept {
        let ticket = Ticket {
            operation: OperationId(Uuid::from_u128(n)),
            agent: AgentId::new("nancy").unwrap(),
            kind: OperationKind::new("submit-order").unwrap(),
            class: Class::Interactive,
            position,
            at: Timestamp::EPOCH,
            step: Step::Act,
            target: None,
            preemptions: 0,
        };
        Kept::new(0, 0, &ticket)
    }

    proptest! {
        /// Whatever comes in whatever order, and goes from wherever it is.
        #[test]
        fn it_holds_what_a_sorted_map_would(acts in prop::collection::vec((0u64..40, 0usize..5), 1..300)) {
            let (mut tickets, mut queue, mut map) = (Slab::default(), Queue::default(), BTreeMap::new());
            for (n, (position, pick)) in (0..).zip(acts) {
                if pick < 3 {
                    let key = tickets.insert(kept(position, n));
                    queue.push(&mut tickets, key);
                    map.insert((position, tickets[key].operation), key);
                } else {
                    let some = map.iter().nth(if pick == 3 { 0 } else { position as usize % map.len().max(1) });
                    if let Some((rank, key)) = some.map(|(rank, key)| (*rank, *key)) {
                        queue.remove(&mut tickets, key);
                        tickets.release(key);
                        map.remove(&rank);
                    }
                }
                let first = map.values().next().copied().unwrap_or(NONE);
                prop_assert_eq!(queue.first(&tickets), first);
                prop_assert_eq!(queue.len(&tickets), map.len() as u64);
                prop_assert_eq!(queue.is_empty(), map.is_empty());
                for (ahead, key) in (0..).zip(map.values()) {
                    prop_assert_eq!(queue.ahead_of(&tickets, *key), ahead);
                }
            }
        }
    }
}
