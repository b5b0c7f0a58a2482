//! `/openapi.json`: the frame around what the handlers say of themselves, and what many have in common.

use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, Required,
    ResponseBuilder,
};

use crate::auth::COOKIE;

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

/// Every path names its agent.
pub(crate) fn of_agent(document: OpenApi) -> OpenApi {
    let agent = ParameterBuilder::new()
        .name("agent")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(Object::with_type(Type::String)))
        .build();
    each(document, |operation| operation.parameters.get_or_insert_default().insert(0, agent.clone().into()))
}

/// Every path asks for a token, and is 404 to whom it does not concern.
pub(crate) fn behind_a_token(document: OpenApi) -> OpenApi {
    each(document, |operation| {
        operation.security =
            Some([TOKEN, SESSION].map(|way| SecurityRequirement::new(way, [""; 0])).to_vec());
        for (status, description) in
            [("401", "No valid token"), ("404", "There is no such thing, or not for this token")]
        {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let response = ResponseBuilder::new().description(description);
            let response = response.content("application/problem+json", content).build();
            operation.responses.responses.insert(status.to_owned(), response.into());
        }
    })
}

/// Every error is a problem.
pub(crate) fn with_problems(document: OpenApi) -> OpenApi {
    each(document, |operation| {
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

fn each(mut document: OpenApi, mut change: impl FnMut(&mut Operation)) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        let PathItem { get, post, put, delete, patch, .. } = item;
        [get, post, put, delete, patch].into_iter().flatten().for_each(&mut change);
    }
    document
}
