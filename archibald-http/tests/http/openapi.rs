//! The description is true: of routes, of fields, of what is needed.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};

use crate::access;
use crate::door::agent;
use crate::server::{JANET, NANCY, OPERATOR, Server, request};

async fn document(server: &Server) -> Value {
    let answer = server.get("", "/openapi.json").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    answer.json()
}

fn operations(document: &Value) -> Vec<(Method, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let mut found = vec![];
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.to_uppercase().parse().unwrap(), path.clone(), operation));
        }
    }
    found
}

/// Else whoever goes by the description sends what is refused.
#[tokio::test]
async fn what_a_header_or_a_cursor_has_to_look_like_is_described() {
    let server = Server::start().await;
    let document = document(&server).await;
    let mut seen = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let is_told = match name {
                "If-Match" => schema["pattern"] == "^\"[0-9]{1,18}\"$",
                "X-Device-Id" | "X-Mutation-Id" | "Idempotency-Key" => {
                    schema["minLength"] == 1 && schema["maxLength"] == 200 && schema["pattern"].is_string()
                }
                "after" if path.ends_with("/pending-orders") => schema["pattern"].is_string(),
                _ => continue,
            };
            assert!(is_told, "{name} of {method} {path}: {schema}");
            seen.insert(name.to_owned());
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

#[tokio::test]
async fn it_is_openapi_3_1_and_every_reference_leads_somewhere() {
    let server = Server::start().await;
    let document = document(&server).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let text = document.to_string();
    let references: Vec<_> =
        text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(references.len() > 20);
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    let ids: Vec<_> = operations(&document).iter().map(|(.., o)| o["operationId"].to_string()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
}

#[tokio::test]
async fn what_is_described_is_what_the_walk_over_all_routes_walks() {
    let server = Server::start().await;
    let document = document(&server).await;
    let described: BTreeSet<_> = operations(&document)
        .into_iter()
        .filter(|(_, path, _)| path.starts_with("/v1"))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    let walked: BTreeSet<_> =
        access::all().into_iter().map(|(method, path)| format!("{method} {path}")).collect();
    assert_eq!(described, walked);
}

#[tokio::test]
async fn what_a_route_says_of_its_404_is_told_and_not_what_all_say() {
    let server = Server::start().await;
    let document = document(&server).await;
    let told = |path: &str| document["paths"][path]["get"]["responses"]["404"]["description"].to_string();
    assert!(told("/v1/admin/pool/{agent}/picture").contains("problem:no-pictures"));
    assert!(told("/v1/admin/overview").contains("not for this token"));
}

#[tokio::test]
async fn every_path_parameter_and_token_is_described() {
    let server = Server::start().await;
    let document = document(&server).await;
    for (method, path, operation) in operations(&document) {
        let named: BTreeSet<_> =
            path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let described: BTreeSet<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(named, described, "{method} {path}");
        let responses = operation["responses"].as_object().unwrap();
        let guarded = path.starts_with("/v1") && !access::open().contains(&(method.clone(), path.clone()));
        assert_eq!(operation.get("security").is_some(), guarded, "{method} {path}");
        assert!(responses.contains_key("401") || !guarded, "{method} {path}");
        for (status, response) in responses {
            let is_problem = response["content"].get("application/problem+json").is_some();
            assert_eq!(is_problem, status.as_str() >= "400", "{method} {path} {status}");
        }
    }
}

#[tokio::test]
async fn a_body_is_described_wherever_one_is_needed() {
    let server = Server::start().await;
    let document = document(&server).await;
    for (method, path, operation) in operations(&document) {
        if ![Method::POST, Method::PUT].contains(&method) {
            assert!(operation.get("requestBody").is_none(), "{method} {path}");
            continue;
        }
        let path = path.replace("{agent}", "nancy").replace("{id}", "0192f0c1-2d3e-7abc-8def-0123456789ab");
        let without = server.send(request(method.clone(), OPERATOR, &path, &[], None)).await;
        let needs_one = without.status == 415;
        assert_eq!(operation.get("requestBody").is_some(), needs_one, "{method} {path}");
    }
}

#[tokio::test]
async fn an_operation_has_the_fields_that_its_schema_names_and_no_others() {
    let server = Server::start().await;
    let document = document(&server).await;
    let schema = &document["components"]["schemas"]["OperationView"];
    let fields: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let required: Vec<_> =
        schema["required"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    let nancy = agent("nancy");
    let waits = server.door.submit(&nancy, "a").await;
    let done = server.door.submit(&nancy, "b").await;
    server.door.complete(&nancy, done).await;
    let cancelled = server.door.submit(&nancy, "c").await;
    let cancel = format!("/v1/agents/nancy/operations/{cancelled}/cancel");
    server.post(NANCY, &cancel, &[], &json!({})).await;
    let mut seen = BTreeSet::new();
    for id in [waits, done, cancelled] {
        let operation = server.get(NANCY, &format!("/v1/agents/nancy/operations/{id}")).await.json();
        for field in &required {
            assert!(operation.get(field).is_some(), "{field} in {operation}");
        }
        seen.extend(operation.as_object().unwrap().keys().cloned());
    }
    assert!(seen.is_subset(&fields), "{seen:?} are more than {fields:?}");
    let rare: Vec<_> = fields.difference(&seen).cloned().collect();
    assert_eq!(rare, ["progress", "step"], "these are shown while it runs");
}

#[tokio::test]
async fn whatever_is_described_is_not_there_for_a_foreign_agent() {
    let server = Server::start().await;
    let id = server.door.submit(&agent("nancy"), "k").await.to_string();
    let mut walked = 0;
    for (method, path, operation) in operations(&document(&server).await) {
        if operation.get("security").is_none() || path == "/v1/me" {
            continue;
        }
        let path = path.replace("{agent}", "nancy").replace("{id}", &id).replace("{n}", "0");
        let body = operation.get("requestBody").map(|_| "{}".to_owned());
        let answer = server.send(request(method.clone(), JANET, &path, &[], body)).await;
        answer.problem(404, "not-found");
        walked += 1;
    }
    assert!(walked >= 20, "{walked}");
}

#[tokio::test]
async fn every_kind_has_a_payload_that_is_described_and_an_example() {
    let server = Server::start().await;
    let schemas = document(&server).await["components"]["schemas"].clone();
    let kinds = schemas["EnqueueBody"]["discriminator"]["mapping"].as_object().unwrap().clone();
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    for (kind, reference) in kinds {
        let name = reference.as_str().unwrap().rsplit('/').next().unwrap();
        let ask = &schemas[name];
        assert_eq!(ask["properties"]["kind"]["const"], kind);
        assert_eq!(ask["examples"][0]["kind"], kind);
        let payload = ask["properties"]["payload"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        assert_eq!(schemas[payload]["additionalProperties"], false, "{payload}");
    }
}

#[tokio::test]
async fn what_every_route_may_answer_is_described() {
    let server = Server::start().await;
    let document = document(&server).await;
    for (method, path, operation) in operations(&document) {
        let answers = operation["responses"].as_object().unwrap();
        let expects: &[&str] = match (path.starts_with("/v1"), operation.get("requestBody")) {
            (false, _) => &["200"],
            (true, None) => &["429", "500", "503"],
            (true, Some(_)) => &["400", "403", "408", "413", "415", "422", "429", "500", "503"],
        };
        for status in expects {
            assert!(answers.contains_key(*status), "{method} {path} {status}");
        }
    }
}
