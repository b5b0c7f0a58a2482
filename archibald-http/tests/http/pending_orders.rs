//! Orders in the making, as devices see them.

use archibald_core::error::{EnqueueError, FieldError, StoreError};
use archibald_core::event::Origin;
use archibald_core::id::{AgentId, OperationId, OperationKey, OperationKind, PendingOrderId};
use archibald_core::operation::{Class, NewOperation};
use archibald_core::pending_order::{NewPendingOrder, PendingOrder, PendingOrderEdit, PendingOrderError};
use archibald_core::port::{
    CreatedPendingOrder, Enqueued, PendingOrderPage, PendingOrderStore, PendingOrders, SubmitRequest,
};
use archibald_core::record::Disposition;
use async_trait::async_trait;
use axum::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::door::{Door, agent};
use crate::server::{Answer, JANET, NANCY, Server, request, soon};

const ALL: &str = "/v1/agents/nancy/pending-orders";

/// What the runtime makes of it, in short: an order needs a customer.
#[async_trait]
impl PendingOrders for Door {
    async fn create(&self, new: NewPendingOrder) -> Result<CreatedPendingOrder, PendingOrderError> {
        new.content.check().map_err(PendingOrderError::Invalid)?;
        self.store.create(new).await
    }

    async fn find(&self, agent: &AgentId, id: PendingOrderId) -> Result<Option<PendingOrder>, StoreError> {
        PendingOrderStore::find(&self.store, agent, id).await
    }

    async fn page(
        &self,
        agent: &AgentId,
        before: Option<PendingOrderId>,
        limit: u32,
    ) -> Result<PendingOrderPage, StoreError> {
        self.store.page(agent, before, limit).await
    }

    async fn edit(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        edit: &PendingOrderEdit,
    ) -> Result<PendingOrder, PendingOrderError> {
        self.store.edit(agent, id, edit).await
    }

    async fn discard(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        expected: u64,
        origin: Option<Origin>,
    ) -> Result<(), PendingOrderError> {
        self.store.discard(agent, id, expected, origin).await
    }

    async fn submit(&self, request: SubmitRequest) -> Result<Enqueued, PendingOrderError> {
        let found = PendingOrderStore::find(&self.store, &request.agent, request.id).await?;
        let order = found.ok_or(PendingOrderError::NotFound(request.id))?;
        if let Some(expected) = request.expected.filter(|expected| *expected != order.version) {
            return Err(PendingOrderError::Conflict { expected, current: Box::new(order) });
        }
        if order.content.customer.is_none() {
            let missing = vec![FieldError::new("/customer", "is missing")];
            return Err(PendingOrderError::Enqueue(EnqueueError::Invalid(missing)));
        }
        let new = NewOperation {
            id: OperationId(Uuid::now_v7()),
            agent: request.agent,
            kind: OperationKind::new("submit-order").unwrap(),
            class: Class::Interactive,
            key: request.key.unwrap_or_else(|| OperationKey::new(order.id.to_string()).unwrap()),
            target: Some(order.id.target()),
            once_per_target: true,
            payload: order.payload(),
            run_at: None,
            origin: request.origin,
            queue_limit: 100,
            trace: false,
        };
        self.store.submit(new).await.map_err(PendingOrderError::Enqueue)
    }
}

fn body(customer: &str) -> Value {
    json!({ "content": { "customer": customer } })
}

impl Server {
    async fn create(&self, mutation: &str, body: &Value) -> Answer {
        self.post(NANCY, ALL, &[("X-Device-Id", "tablet"), ("X-Mutation-Id", mutation)], body).await
    }

    async fn created(&self, mutation: &str) -> Value {
        let answer = self.create(mutation, &body("ALFKI")).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    /// With an `If-Match` unless that is empty.
    async fn change(&self, method: Method, order: &Value, etag: &str, body: Option<Value>) -> Answer {
        let path = path(order);
        let matching = [("If-Match", etag), ("X-Device-Id", "phone"), ("X-Mutation-Id", "m2")];
        let headers = if etag.is_empty() { &matching[1..] } else { &matching[..] };
        self.send(request(method, NANCY, &path, headers, body.map(|body| body.to_string()))).await
    }

    async fn put(&self, order: &Value, etag: &str, customer: &str) -> Answer {
        self.change(Method::PUT, order, etag, Some(body(customer))).await
    }
}

fn path(order: &Value) -> String {
    format!("{ALL}/{}", order["id"].as_str().unwrap())
}

fn submission(order: &Value) -> String {
    format!("{}/submit", path(order))
}

#[tokio::test]
async fn it_is_created_once_and_found_where_it_says() {
    let server = Server::start().await;
    let answer = server.create("m1", &body("ALFKI")).await;
    let order = answer.json();
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (201, "\"1\""));
    assert_eq!(answer.header("location"), path(&order));
    let at = order["created_at"].as_str().unwrap();
    assert_eq!(
        order,
        json!({ "id": order["id"], "agent": "nancy", "version": 1, "state": "editing",
            "content": { "customer": "ALFKI" }, "created_at": at, "updated_at": at,
            "origin": { "device": "tablet", "mutation": "m1" } })
    );
    let found = server.get(NANCY, answer.header("location")).await;
    assert_eq!((found.json(), found.header("etag")), (order.clone(), "\"1\""));
    let again = server.create("m1", &body("ALFKI")).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, "true"));
    assert_eq!(again.json()["id"], order["id"]);
    server.create("m1", &body("ANATR")).await.problem(422, "key-reused");
    server.post(NANCY, ALL, &[], &body("ALFKI")).await.problem(400, "bad-request");
    server.post(NANCY, ALL, &[("X-Device-Id", "tablet")], &body("ALFKI")).await.problem(400, "bad-request");
    let by_key = server.post(NANCY, ALL, &[("Idempotency-Key", "m1")], &body("ALFKI")).await;
    assert_eq!(by_key.status, 201, "another name");
    server.get(JANET, &path(&order)).await.problem(404, "not-found");
}

#[tokio::test]
async fn what_it_cannot_say_is_named() {
    let server = Server::start().await;
    for (body, pointers) in [
        (json!({}), &[""][..]),
        (json!({ "content": { "price": 1 } }), &["/content/price"]),
        (json!({ "content": { "date": "22/11/2026" } }), &["/content/date"]),
        (json!({ "content": { "lines": [{ "quantity": -1 }] } }), &["/content/lines/0/quantity"]),
        (
            json!({ "content": { "note": "x".repeat(201), "customer": "A\n" } }),
            &["/content/customer", "/content/note"],
        ),
        (json!({ "content": {}, "state": "submitted" }), &["/state"]),
    ] {
        server.create("m1", &body).await.pointers(pointers);
    }
    assert_eq!(server.create("m1", &json!({ "content": {} })).await.status, 201, "nothing is a beginning");
}

#[tokio::test]
async fn nobody_overwrites_what_they_have_not_seen() {
    let server = Server::start().await;
    let order = server.created("m1").await;
    server.put(&order, "", "ANATR").await.problem(428, "version-needed");
    server.change(Method::DELETE, &order, "", None).await.problem(428, "version-needed");
    for etag in ["*", "1", "W/\"1\"", "\"1\", \"2\""] {
        server.put(&order, etag, "ANATR").await.problem(400, "bad-request");
    }
    let edited = server.put(&order, "\"1\"", "ANATR").await;
    assert_eq!((edited.status.as_u16(), edited.header("etag")), (200, "\"2\""));
    assert_eq!(edited.json()["origin"], json!({ "device": "phone", "mutation": "m2" }));
    let again = server.put(&order, "\"1\"", "ANATR").await;
    assert_eq!((again.status.as_u16(), again.json()), (200, edited.json()), "the same mutation");

    let stale = server.put(&order, "\"1\"", "AROUT").await;
    assert_eq!(stale.problem(412, "changed-meanwhile")["current"], edited.json());
    assert_eq!(stale.header("etag"), "\"2\"");
    let stale = server.change(Method::DELETE, &order, "\"1\"", None).await;
    stale.problem(412, "changed-meanwhile");
    assert_eq!(server.change(Method::DELETE, &order, "\"2\"", None).await.status, 204);
    server.get(NANCY, &path(&order)).await.problem(404, "not-found");
    server.put(&order, "\"2\"", "AROUT").await.problem(404, "not-found");
    server.change(Method::DELETE, &order, "\"2\"", None).await.problem(404, "not-found");
}

#[tokio::test]
async fn what_is_submitted_is_locked_and_names_its_operation() {
    let server = Server::start().await;
    let order = server.created("m1").await;
    let stale = server.post(NANCY, &submission(&order), &[("If-Match", "\"9\"")], &json!({})).await;
    assert_eq!(stale.problem(412, "changed-meanwhile")["current"], order);
    let matching = [("If-Match", "\"1\""), ("Idempotency-Key", "tap")];
    let accepted = server.post(NANCY, &submission(&order), &matching, &json!({})).await;
    let operation = accepted.json();
    assert_eq!((accepted.status.as_u16(), &operation["kind"]), (202, &json!("submit-order")));
    assert_eq!(server.get(NANCY, accepted.header("location")).await.json(), operation);
    let again = server.send(request(Method::POST, NANCY, &submission(&order), &[], None)).await;
    assert_eq!((again.status.as_u16(), &again.json()["id"]), (200, &operation["id"]));
    assert_eq!(again.header("idempotency-replayed"), "true");

    let locked = server.get(NANCY, &path(&order)).await;
    assert_eq!((locked.header("etag"), &locked.json()["state"]), ("\"2\"", &json!("submitting")));
    assert_eq!(locked.json()["operation"], operation["id"]);
    for refused in [
        server.put(&order, "\"2\"", "ANATR").await,
        server.change(Method::DELETE, &order, "\"2\"", None).await,
    ] {
        assert_eq!(refused.problem(409, "being-submitted")["operation"], operation["id"]);
    }
    let id = operation["id"].as_str().unwrap().parse().unwrap();
    server.door.complete(&agent("nancy"), id).await;
    let done = server.get(NANCY, &path(&order)).await.json();
    assert_eq!((&done["state"], &done["order"]), (&json!("submitted"), &json!("1042")));
    let refused = server.put(&order, "\"3\"", "ANATR").await;
    assert_eq!(refused.problem(409, "already-submitted")["operation"], operation["id"]);
}

#[tokio::test]
async fn what_was_refused_comes_back_with_its_problem() {
    let server = Server::start().await;
    let empty = server.create("m0", &json!({ "content": {} })).await.json();
    server.post(NANCY, &submission(&empty), &[], &json!({})).await.pointers(&["/content/customer"]);
    let order = server.created("m1").await;
    let operation = server.post(NANCY, &submission(&order), &[], &json!({})).await.json();
    let id = operation["id"].as_str().unwrap().parse().unwrap();
    let rejected = Disposition::Reject { why: "no such customer".into(), refused: None };
    server.door.end(&agent("nancy"), id, rejected).await;
    let back = server.get(NANCY, &path(&order)).await.json();
    assert_eq!(back["state"], "editing");
    assert_eq!(
        back["problem"],
        json!({ "operation": operation["id"], "outcome": "rejected", "detail": "no such customer", "version": 3 })
    );
    assert_eq!(server.put(&order, "\"3\"", "ANATR").await.status, 200);
    let nobody = format!("{ALL}/{}/submit", Uuid::now_v7());
    server.post(NANCY, &nobody, &[], &json!({})).await.problem(404, "not-found");
}

#[tokio::test]
async fn every_device_sees_each_change() {
    let server = Server::start().await;
    let first = server.created("m1").await;
    let mut device = server.follow(None).await;
    let snapshot = device.expect("snapshot").await.data;
    assert_eq!(snapshot["pending_orders"], json!([first]));
    assert_eq!(server.get(NANCY, "/v1/agents/nancy/snapshot").await.json()["pending_orders"], json!([first]));
    server.put(&first, "\"1\"", "ANATR").await;
    let batch = device.expect("batch").await.data;
    let event = &batch["events"][0];
    assert_eq!(event["type"], "pending_order.updated");
    assert_eq!(event["origin"], json!({ "device": "phone", "mutation": "m2" }));
    assert_eq!((&event["pending_order"], &event["version"]), (&first["id"], &json!(2)));
    assert_eq!(event["content"], json!({ "customer": "ANATR" }));
    server.change(Method::DELETE, &first, "\"2\"", None).await;
    let batch = soon(device.expect("batch")).await.data;
    assert_eq!(batch["events"][0]["type"], "pending_order.deleted");
}

#[tokio::test]
async fn a_list_is_paged_newest_first() {
    let server = Server::start().await;
    let mut made = vec![];
    for n in 0..3 {
        made.insert(0, server.created(&format!("m{n}")).await);
    }
    let page = server.get(NANCY, &format!("{ALL}?limit=2")).await.json();
    assert_eq!(page["items"], json!(made[..2]));
    let next = page["next"].as_str().unwrap();
    let rest = server.get(NANCY, &format!("{ALL}?limit=2&after={next}")).await.json();
    assert_eq!(rest, json!({ "items": made[2..] }));
    for bad in ["limit=0", "after=x", "before=1"] {
        server.get(NANCY, &format!("{ALL}?{bad}")).await.problem(400, "bad-request");
    }
}
