//! Requests and answers as the pages see them, without the HTTP library around them.

use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE,
};
use hyper::{Method, Response, StatusCode, Uri};

use super::html::esc;
use super::server::{Body, broken, whole};

/// A request, read to its end.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Names and values of a query or a posted form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

/// What a client gets.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The answer, whole.
    Whole(Answer),
    /// The answer, broken off half-way.
    Broken(Answer),
    /// The connection closes without a byte.
    Dropped,
    /// Nothing, for as long as the client cares to wait.
    Silence,
}

/// An answer in the making.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    location: Option<String>,
    cookies: Vec<String>,
    content_type: &'static str,
    body: String,
}

impl Asked {
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub(crate) fn query(&self) -> Form {
        Form::parse(self.uri.query().unwrap_or_default().as_bytes())
    }

    pub(crate) fn form(&self) -> Form {
        Form::parse(&self.body)
    }

    /// Path and query as they were asked for.
    pub(crate) fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", |whole| whole.as_str())
    }
}

impl Form {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The first value of that name; empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// The same with other names and values; what `rename` answers `None` for is left out.
    pub(crate) fn renamed(self, rename: impl Fn(String, String) -> Option<(String, String)>) -> Self {
        Self(self.0.into_iter().filter_map(|(name, value)| rename(name, value)).collect())
    }

    /// An asynchronous postback: the answer is read by script and must not be a page.
    pub(crate) fn is_async(&self) -> bool {
        self.get("__ASYNCPOST") == "true"
    }

    /// The value of a page's control, trimmed.
    pub(crate) fn field(&self, name: &str) -> String {
        self.get(&format!("{}{name}", super::html::MAIN)).trim().to_owned()
    }
}

/// The format of asynchronous postbacks: `length|type|id|content|` each, lengths in UTF-16 units.
pub(crate) fn delta<'a>(parts: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> String {
    let part = |(kind, id, content): (&str, &str, &str)| {
        format!("{}|{kind}|{id}|{content}|", content.encode_utf16().count())
    };
    "1|#||4|".to_owned() + &parts.into_iter().map(part).collect::<String>()
}

impl Answer {
    pub(crate) fn html(status: StatusCode, body: String) -> Self {
        Self { status, location: None, cookies: Vec::new(), content_type: "text/html; charset=utf-8", body }
    }

    pub(crate) fn text(body: String) -> Self {
        Self { content_type: "text/plain; charset=utf-8", ..Self::html(StatusCode::OK, body) }
    }

    pub(crate) fn redirect(to: String) -> Self {
        let body =
            format!(r#"<html><body><h2>Object moved to <a href="{}">here</a>.</h2></body></html>"#, esc(&to));
        Self { location: Some(to), ..Self::html(StatusCode::FOUND, body) }
    }

    /// The page that ASP.NET shows for an unhandled exception.
    pub(crate) fn yellow(title: &str) -> Self {
        let title = esc(title);
        let body = format!(
            "<!DOCTYPE html><html><head><title>{title}</title></head><body bgcolor=\"white\">\
             <h1>Server Error in '/' Application.</h1><h2 id=\"yellow-title\"><i>{title}</i></h2></body></html>"
        );
        Self::html(StatusCode::INTERNAL_SERVER_ERROR, body)
    }

    pub(crate) fn with_cookie(mut self, name: &str, value: &str) -> Self {
        self.cookies.push(format!("{name}={value}; path=/; HttpOnly; SameSite=Lax"));
        self
    }

    pub(crate) fn without_cookie(mut self, name: &str) -> Self {
        self.cookies.push(format!("{name}=; path=/; HttpOnly; SameSite=Lax; Max-Age=0"));
        self
    }

    /// For the wire; `break_off` sends half of the body and then closes the connection.
    pub(crate) fn into_response(self, break_off: bool) -> Response<Body> {
        let length = self.body.len();
        let body = if break_off { broken(&self.body) } else { whole(self.body) };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        if let Some(to) = self.location.and_then(|to| HeaderValue::try_from(to).ok()) {
            headers.insert(LOCATION, to);
        }
        for cookie in self.cookies.into_iter().filter_map(|cookie| HeaderValue::try_from(cookie).ok()) {
            headers.append(SET_COOKIE, cookie);
        }
        response
    }
}
