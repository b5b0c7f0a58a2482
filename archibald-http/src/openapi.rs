//! `/openapi.json`: the frame around what the handlers say of themselves, and what many have in common.

use serde_json::Value;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, Required,
    Response, ResponseBuilder,
};

use crate::auth::COOKIE;

const SCHEMAS: &str = include_str!("openapi/schemas.json");
const TOKEN: &str = "token";
const SESSION: &str = "session";

pub(crate) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Archibald")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Errors are RFC 9457 problems, times RFC 3339 in UTC, ids UUIDs."));
    let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let session = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(COOKIE)));
    let components = ComponentsBuilder::new().security_scheme(TOKEN, token).security_scheme(SESSION, session);
    OpenApiBuilder::new().info(info.build()).components(Some(components.build())).build()
}

/// As it is served: with the schemas of what is of no Rust type here, the payloads of every kind above all, and
/// with what every route may answer.
pub(crate) fn finished(document: OpenApi) -> Value {
    let document = each(document, |path, method, operation| {
        if path.starts_with("/v1") {
            common_answers(method, operation);
        }
    });
    let mut document = serde_json::to_value(with_problems(document)).unwrap_or_default();
    let schemas: Value = serde_json::from_str(SCHEMAS).expect("a test reads the file");
    if let (Value::Object(known), Value::Object(more)) = (&mut document["components"]["schemas"], schemas) {
        known.extend(more);
    }
    document
}

/// What anybody may get who asks for more, or otherwise, than can be answered.
fn common_answers(method: &str, operation: &mut Operation) {
    let mut answers = vec![
        ("429", "That is asked too often; `Retry-After` says when to come back"),
        ("500", "The server failed"),
        ("503", "It cannot be done now; the same request may succeed soon"),
    ];
    let may_be_unreadable = operation.parameters.iter().flatten().any(|asked| match asked {
        RefOr::T(asked) => asked.parameter_in != ParameterIn::Path,
        RefOr::Ref(_) => true,
    });
    if operation.request_body.is_some() {
        answers.extend([
            ("408", "The body did not arrive in time"),
            ("413", "The body is too large"),
            ("415", "The body is not `application/json`"),
            ("422", "The body cannot be accepted; `errors` says where"),
        ]);
    }
    if operation.request_body.is_some() || may_be_unreadable {
        answers.push(("400", "The request cannot be read"));
    }
    if method != "get" {
        answers.push(("403", "A session's cookie came without an `Origin` of this host"));
    }
    for (status, description) in answers {
        let entry = operation.responses.responses.entry(status.to_owned());
        entry.or_insert_with(|| problem(description).into());
    }
}

fn problem(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content).build()
}

/// Every path names its agent.
pub(crate) fn of_agent(document: OpenApi) -> OpenApi {
    let agent = ParameterBuilder::new()
        .name("agent")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(Object::with_type(Type::String)))
        .build();
    each(document, |_, _, operation| {
        operation.parameters.get_or_insert_default().insert(0, agent.clone().into())
    })
}

/// Every path asks for a token, and is 404 to whom it does not concern; where a route says itself when it is, that stays.
pub(crate) fn behind_a_token(document: OpenApi) -> OpenApi {
    each(document, |_, _, operation| {
        operation.security =
            Some([TOKEN, SESSION].map(|way| SecurityRequirement::new(way, [""; 0])).to_vec());
        for (status, description) in
            [("401", "No valid token"), ("404", "There is no such thing, or not for this token")]
        {
            let entry = operation.responses.responses.entry(status.to_owned());
            entry.or_insert_with(|| problem(description).into());
        }
    })
}

/// Every error is a problem.
fn with_problems(document: OpenApi) -> OpenApi {
    each(document, |_, _, operation| {
        for (status, response) in &mut operation.responses.responses {
            let RefOr::T(response) = response else { continue };
            if status.as_str() >= "400"
                && let Some(content) = response.content.shift_remove("application/json")
            {
                response.content.insert("application/problem+json".to_owned(), content);
            }
        }
    })
}

fn each(mut document: OpenApi, mut change: impl FnMut(&str, &str, &mut Operation)) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        let PathItem { get, post, put, delete, patch, .. } = item;
        for (method, operation) in
            [("get", get), ("post", post), ("put", put), ("delete", delete), ("patch", patch)]
        {
            if let Some(operation) = operation {
                change(path, method, operation);
            }
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_can_be_read() {
        let schemas: Value = serde_json::from_str(SCHEMAS).unwrap();
        assert!(schemas["EnqueueBody"]["oneOf"].as_array().unwrap().len() >= 10);
    }
}
