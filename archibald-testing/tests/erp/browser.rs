//! A browser in miniature: cookies, one keep-alive connection, forms with their hidden fields.

use std::collections::BTreeMap;
use std::time::Duration;

use archibald_testing::data::{DataSet, Order, password_of};
use archibald_testing::erp::{Behaviour, ErpOptions, ErpSimulator, RunningErp};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Fast, so that stories do not wait; those about time set their own.
pub(crate) fn fast() -> ErpOptions {
    let millis = Duration::from_millis;
    let behaviour = Behaviour {
        latency: millis(0),
        slow: millis(80),
        request_limit: millis(300),
        late: millis(30),
        stale: millis(300),
        maintenance: millis(200),
        ..Behaviour::default()
    };
    ErpOptions { behaviour, data: data(), ..ErpOptions::default() }
}

pub(crate) fn data() -> DataSet {
    DataSet::generate(1, 9, 90)
}

pub(crate) async fn start() -> RunningErp {
    ErpSimulator::start(fast()).await.unwrap()
}

/// Some order that the ERP accepts, of this agent.
pub(crate) fn order_of(agent: &str) -> Order {
    let data = data();
    data.workload(false).into_iter().find(|order| order.agent == agent).unwrap().clone()
}

pub(crate) struct Browser {
    authority: String,
    cookies: BTreeMap<String, String>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    path: String,
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

/// What makes a form post.
#[derive(Clone, Copy)]
pub(crate) enum Cause<'a> {
    Button(&'a str),
    Link(&'a str, &'a str),
}

impl Browser {
    pub(crate) fn new(erp: &RunningErp) -> Self {
        let authority = erp.url().trim_start_matches("http://").to_owned();
        Self { authority, cookies: BTreeMap::new(), sender: None }
    }

    /// A browser whose user is logged in.
    pub(crate) async fn logged_in(erp: &RunningErp, user: &str) -> Self {
        let mut browser = Self::new(erp);
        let answer = browser.log_in("/Login.aspx", user, &password_of(user)).await;
        assert_eq!((answer.status, answer.location.as_deref()), (302, Some("/Default.aspx")));
        browser
    }

    /// Another connection with the same cookies.
    pub(crate) fn new_tab(&self) -> Self {
        Self { authority: self.authority.clone(), cookies: self.cookies.clone(), sender: None }
    }

    pub(crate) async fn log_in(&mut self, path: &str, user: &str, password: &str) -> Page {
        let page = self.get(path).await;
        self.submit(&page, &[("User", user), ("Password", password)], Cause::Button("LoginButton")).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.request(Method::GET, path, String::new()).await.unwrap()
    }

    /// The same where the connection may break: `None` means that no whole answer came.
    pub(crate) async fn try_get(&mut self, path: &str) -> Option<Page> {
        self.request(Method::GET, path, String::new()).await
    }

    /// Fills fields of the page's form and posts it back.
    pub(crate) async fn submit(&mut self, page: &Page, fields: &[(&str, &str)], cause: Cause<'_>) -> Page {
        self.try_submit(page, fields, cause).await.unwrap()
    }

    /// The same where the connection may break: `None` means that no whole answer came.
    pub(crate) async fn try_submit(
        &mut self,
        page: &Page,
        fields: &[(&str, &str)],
        cause: Cause<'_>,
    ) -> Option<Page> {
        let body = page.filled(fields, cause);
        self.request(Method::POST, &page.path, body).await
    }

    /// What script does behind the page: a callback, whose answer is no page.
    pub(crate) async fn call_back(&mut self, page: &Page, control: &str, argument: &str) -> Page {
        let mut body = page.filled(&[], Cause::Link("", ""));
        let pairs = [("__CALLBACKID", control), ("__CALLBACKPARAM", argument)];
        body.push('&');
        body += &url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.request(Method::POST, &page.path, body).await.unwrap()
    }

    /// What an update panel does: a postback whose answer is parts of a page.
    pub(crate) async fn post_async(&mut self, page: &Page, control: &str, argument: &str) -> Page {
        let body = page.filled(&[], Cause::Link(control, argument)) + "&__ASYNCPOST=true";
        self.request(Method::POST, &page.path, body).await.unwrap()
    }

    /// Posts the page's form back with these controls set, named in full: for a site of other names.
    pub(crate) async fn post(&mut self, page: &Page, controls: &[(&str, &str)]) -> Option<Page> {
        let mut form = page.fields();
        form.extend(controls.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.request(Method::POST, &page.path, body).await
    }

    /// Types a whole order into a new form, without saving it.
    pub(crate) async fn type_order(
        &mut self,
        order: &Order,
        reference: &str,
    ) -> (Page, Vec<(String, String)>) {
        let header = vec![
            ("Customer".to_owned(), order.customer.clone()),
            ("Date".to_owned(), order.date.strftime("%d/%m/%Y").to_string()),
            ("Reference".to_owned(), reference.to_owned()),
        ];
        let mut page = self.get("/Order.aspx").await;
        for line in &order.lines {
            let (quantity, discount) = (line.quantity.to_string(), line.discount.italian());
            let mut fields = borrowed(&header);
            let typed =
                [("LineProduct", &line.product), ("LineQuantity", &quantity), ("LineDiscount", &discount)];
            fields.extend(typed.map(|(name, value)| (name, value.as_str())));
            page = self.submit(&page, &fields, Cause::Button("AddLine")).await;
        }
        (page, header)
    }

    /// Types an order and presses Save.
    pub(crate) async fn save_order(&mut self, order: &Order, reference: &str) -> Option<Page> {
        let (page, header) = self.type_order(order, reference).await;
        self.try_submit(&page, &borrowed(&header), Cause::Button("Save")).await
    }

    async fn request(&mut self, method: Method, path: &str, body: String) -> Option<Page> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, self.cookie_header())
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let mut sender = self.connected().await;
        let response = sender.send_request(request).await.ok()?;
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = response.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        self.sender = Some(sender);
        let body = String::from_utf8(body.to_vec()).unwrap();
        Some(Page { path: path.to_owned(), status, location, body })
    }

    /// The connection of the last request, or a new one: never a resend, unlike a real browser.
    async fn connected(&mut self) -> SendRequest<Full<Bytes>> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return sender;
        }
        let stream = TcpStream::connect(&self.authority).await.unwrap();
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.ready().await.unwrap();
        sender
    }

    pub(crate) fn cookie_header(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }
}

/// Waits until it is so; fails after ten seconds.
pub(crate) async fn until(so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it came to be so in ten seconds");
}

impl Page {
    /// The body of a postback: every field of the form, those named filled anew, and what caused it.
    pub(crate) fn filled(&self, fields: &[(&str, &str)], cause: Cause<'_>) -> String {
        let mut form = self.fields();
        for (name, value) in fields {
            form.insert(format!("ctl00$Main${name}"), (*value).to_owned());
        }
        match cause {
            Cause::Button(name) => {
                form.insert(format!("ctl00$Main${name}"), "pressed".to_owned());
            }
            Cause::Link(target, argument) => {
                form.insert("__EVENTTARGET".to_owned(), target.to_owned());
                form.insert("__EVENTARGUMENT".to_owned(), argument.to_owned());
            }
        }
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
    }

    /// What a browser would post: named fields that are neither buttons nor disabled.
    pub(crate) fn fields(&self) -> BTreeMap<String, String> {
        let inputs = self.body.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap());
        let buttons = [r#"type="submit""#, r#"type="image""#];
        let silent = |tag: &str| tag.contains("disabled=") || buttons.iter().any(|kind| tag.contains(kind));
        let posted = inputs.filter(|tag| !silent(tag));
        let mut fields: BTreeMap<String, String> = posted
            .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())))
            .collect();
        for area in self.body.split("<textarea ").skip(1).filter(|area| !area.contains("disabled=")) {
            let (tag, rest) = area.split_once('>').unwrap();
            let text = rest.split("</textarea>").next().unwrap();
            let text = unescape(text.strip_prefix('\n').unwrap_or(text));
            fields.insert(attribute(tag, "name").unwrap(), text);
        }
        fields
    }

    /// Value of a field of the page's own.
    pub(crate) fn value(&self, name: &str) -> String {
        self.fields().remove(&format!("ctl00$Main${name}")).unwrap_or_else(|| panic!("no field {name}"))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.body.contains(&format!(r#"id="ctl00_Main_{name}""#))
    }

    /// Text of the element of that id, which must be there and hold nothing but text.
    pub(crate) fn text(&self, id: &str) -> String {
        let id = if id.starts_with("ctl00") { id.to_owned() } else { format!("ctl00_Main_{id}") };
        let (_, rest) = self.body.split_once(&format!(r#"id="{id}""#)).unwrap_or_else(|| panic!("no {id}"));
        let (_, rest) = rest.split_once('>').unwrap();
        unescape(rest.split('<').next().unwrap())
    }

    /// Rows of a grid: class of the cell to its text.
    pub(crate) fn rows(&self, grid: &str) -> Vec<BTreeMap<String, String>> {
        let (_, rest) = self.body.split_once(&format!(r#"<table id="ctl00_Main_{grid}""#)).unwrap();
        let table = rest.split("</table>").next().unwrap();
        table.split(r#"<tr class="row">"#).skip(1).map(cells).collect()
    }
}

pub(crate) fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn cells(row: &str) -> BTreeMap<String, String> {
    let cell = |rest: &str| {
        let (class, rest) = rest.split_once("\">").unwrap();
        let html = rest.split("</td>").next().unwrap();
        let text: String =
            html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
        (class.to_owned(), unescape(&text))
    };
    row.split(r#"<td class=""#).skip(1).map(cell).collect()
}

pub(crate) fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    Some(unescape(rest.split('"').next().unwrap()))
}

pub(crate) fn unescape(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}
