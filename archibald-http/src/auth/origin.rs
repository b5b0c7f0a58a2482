use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// Whether a browser says that the request comes from a page of this server: `Origin` names the same host and
/// port as `Host`. A request without an `Origin` does not, and neither does one with the opaque `null`.
///
/// The scheme is not compared: behind a proxy that ends TLS the server does not know its own.
pub(crate) fn same_origin(headers: &HeaderMap) -> bool {
    let one = |name| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    };
    let origin = one(header::ORIGIN).and_then(|origin| origin.parse::<Uri>().ok());
    let host = one(header::HOST).and_then(|host| host.parse::<Authority>().ok());
    match (origin.as_ref().map(|origin| (origin.scheme_str(), origin.authority())), host) {
        (Some((Some("http" | "https"), Some(origin))), Some(host)) => *origin == host,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: &[&str], host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        for origin in origin {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        same_origin(&headers)
    }

    #[test]
    fn host_and_port_have_to_be_the_same() {
        assert!(check(&["http://localhost:8080"], "localhost:8080"));
        assert!(check(&["https://Archibald.example"], "archibald.example"));
        for origin in ["null", "", "http://localhost", "http://localhost:8081", "http://localhost:8080.evil"]
        {
            assert!(!check(&[origin], "localhost:8080"), "{origin}");
        }
        assert!(!check(&["file://localhost:8080"], "localhost:8080"));
        assert!(!check(&["http://user@localhost:8080"], "localhost:8080"));
        assert!(!check(&[], "localhost:8080"));
        assert!(!check(&["http://localhost:8080", "http://localhost:8080"], "localhost:8080"));
    }
}
