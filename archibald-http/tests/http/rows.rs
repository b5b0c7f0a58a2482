use archibald_core::id::Collection;
use archibald_core::record::{Disposition, LocalRow, Settlement};
use serde_json::{Value, json};

use crate::door::agent;
use crate::server::{NANCY, Server};

async fn with_customers() -> Server {
    let server = Server::start().await;
    let nancy = agent("nancy");
    let row = |collection: &str, id: &str, name: &str| LocalRow {
        collection: Collection::new(collection).unwrap(),
        id: id.into(),
        doc: Some(json!({ "name": name })),
        event: Some("customer.updated".into()),
    };
    let rows = vec![
        row("customers", "ALFKI", "Alfreds Futterkiste"),
        row("customers", "BERGS", "Berglunds snabbköp"),
        row("customers", "CHOPS", "Chop-suey Chinese"),
        row("products", "A0001", "Chai"),
    ];
    let id = server.door.submit(&nancy, "k").await;
    let done = Disposition::Complete { result: json!({}) };
    server.door.end(&nancy, id, Settlement { rows, ..done.into() }).await;
    server
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn rows_are_listed_searched_and_paged() {
    let server = with_customers().await;
    let get = async |path: &str| server.get(NANCY, &format!("/v1/agents/nancy/{path}")).await.json();
    let all = get("customers").await;
    assert_eq!(ids(&all), ["ALFKI", "BERGS", "CHOPS"]);
    assert_eq!(all["items"][0]["data"], json!({ "name": "Alfreds Futterkiste" }));
    assert!(all["items"][0]["updated_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(all.get("next"), None);
    assert_eq!(ids(&get("customers?search=snabbK%C3%B6p").await), ["BERGS"]);
    assert_eq!(ids(&get("products").await), ["A0001"]);
    assert!(ids(&get("prices").await).is_empty() && ids(&get("orders").await).is_empty());

    let first = get("customers?limit=2").await;
    assert_eq!(ids(&first), ["ALFKI", "BERGS"]);
    let after = first["next"].as_str().unwrap();
    let second = get(&format!("customers?limit=2&after={after}")).await;
    assert_eq!((ids(&second), second.get("next")), (vec!["CHOPS"], None));
}
