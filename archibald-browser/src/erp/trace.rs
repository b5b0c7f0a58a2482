//! How an attempt went, step by step, as a page that needs nothing but a browser: what was done in the session, what
//! was typed, what dialogs said, what was asked of the ERP, and pictures where they were asked for.
//!
//! No secret gets in: nothing is remembered of a login, addresses keep what the page map says that names a thing,
//! requests tell no bodies and headers, and all of it is searched for sessions in addresses, the cookies that the
//! context has by then and the agent's password besides, since a page may say anything. Where the cookies cannot be
//! read, what was seen, typed and said is left out.

use std::fmt::Write as _;
use std::time::Duration;

use archibald_core::record::Evidence;
use base64::Engine as _;

use super::ErpClient;
use super::evidence::without;
use crate::driver::{Limit, On, Recorded, Step};
use crate::gate::Passed;
use crate::text::{escaped, shortened};

/// What reading the cookies may take.
const READING: Duration = Duration::from_secs(2);
/// Characters that are shown of each text.
const LONGEST: usize = 500;

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>Trace</title><style>\
body{font:14px/1.4 system-ui,sans-serif;margin:1rem;color-scheme:light dark}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .5rem;\
border-top:1px solid #8886}td:first-child,td:nth-child(2){text-align:right;white-space:nowrap}\
code{overflow-wrap:anywhere}.bad{font-weight:bold}.request{opacity:.75}img{max-width:100%;border:1px solid #8886}\
</style>";

/// A line of the table.
enum Line {
    Step(Step),
    Request(Passed),
}

impl ErpClient {
    /// What was done since this client was made.
    pub(super) async fn tell_steps(&self, limit: &Limit) -> Option<Evidence> {
        let mut recorded = self.page().steps()?;
        let mut secrets = self.secrets().to_vec();
        match self.context().cookies(&limit.within(READING)).await {
            Ok(cookies) => secrets.extend(cookies.into_iter().map(|cookie| cookie.value)),
            Err(_) => recorded.steps.iter_mut().for_each(leave_out_what_may_be_secret),
        }
        let requests = self.context().gate().map(|gate| gate.requests()).unwrap_or_default();
        let html = page(self.user(), recorded, requests, |url| self.address(url), &secrets);
        Some(Evidence { name: "trace".into(), media_type: "text/html".into(), bytes: html.into_bytes() })
    }

    fn address(&self, url: &str) -> String {
        match self.context().gate() {
            Some(gate) => gate.without_secrets(url),
            None => "(an address)".to_owned(),
        }
    }
}

fn page(
    user: &str,
    recorded: Recorded,
    requests: Vec<Passed>,
    address: impl Fn(&str) -> String,
    secrets: &[String],
) -> String {
    let Recorded { since, steps, forgotten } = recorded;
    let requests = requests.into_iter().filter(|request| request.began >= since).map(Line::Request);
    let mut lines: Vec<_> = steps.into_iter().map(Line::Step).chain(requests).collect();
    lines.sort_by_key(Line::began);
    let plain = |text: &str| {
        let text = shortened(&without(without_sessions(text), secrets), LONGEST);
        escaped(&text).replace('"', "&quot;")
    };
    let mut html = HEAD.to_owned();
    let _ = write!(html, "<h1>What was done as {}</h1>", plain(user));
    if forgotten > 0 {
        let _ = write!(html, "<p>{forgotten} steps before these are not kept.</p>");
    }
    html += "<table><tr><th>after ms</th><th>took ms</th><th>step</th><th>on</th><th>typed or answered</th>\
             <th>page afterwards</th><th>how it went</th></tr>";
    for line in lines {
        let after = line.began().saturating_duration_since(since).as_millis();
        match line {
            Line::Step(step) => {
                let Step { took, what, on, typed, address: shown, problem, picture, .. } = step;
                let took = took.map_or_else(|| "…".to_owned(), |took| took.as_millis().to_string());
                let on = match on {
                    On::Page => String::new(),
                    On::Address(on) => address(&on),
                    On::Selector(on) | On::Said(on) => on,
                };
                let shown = if shown.is_empty() { shown } else { address(&shown) };
                let went = problem.as_deref().map_or_else(String::new, plain);
                let class = if problem.is_some() { " class=\"bad\"" } else { "" };
                let _ = write!(
                    html,
                    "<tr{class}><td>{after}</td><td>{took}</td><td>{what}</td><td><code>{}</code></td>\
                     <td>{}</td><td>{}</td><td>{went}</td></tr>",
                    plain(&on),
                    typed.as_deref().map_or_else(String::new, plain),
                    plain(&shown),
                );
                if let Some(picture) = picture {
                    let data = base64::engine::general_purpose::STANDARD.encode(picture);
                    let _ = write!(
                        html,
                        "<tr><td></td><td></td><td colspan=\"5\"><details><summary>picture</summary>\
                         <img alt=\"the page after {what}\" src=\"data:image/jpeg;base64,{data}\"></details></td></tr>"
                    );
                }
            }
            Line::Request(request) => {
                let took = request.took().as_millis();
                let _ = write!(
                    html,
                    "<tr class=\"request\"><td>{after}</td><td>{took}</td><td>a request</td>\
                     <td colspan=\"3\"><code>{}</code></td><td>{}</td></tr>",
                    plain(&request.asked()),
                    plain(request.went()),
                );
            }
        }
    }
    html + "</table></html>\n"
}

impl Line {
    fn began(&self) -> std::time::Instant {
        match self {
            Self::Step(step) => step.began,
            Self::Request(request) => request.began,
        }
    }
}

/// Nothing is known to be free of cookies that cannot be read.
fn leave_out_what_may_be_secret(step: &mut Step) {
    step.picture = None;
    let left_out = || "(left out)".to_owned();
    step.typed = step.typed.take().map(|_| left_out());
    step.problem = step.problem.take().map(|_| left_out());
    if let On::Said(said) = &mut step.on {
        *said = left_out();
    }
}

/// Without the sessions that ASP.NET puts into addresses where there are no cookies: `/(S(…))/`.
fn without_sessions(text: &str) -> String {
    let mut parts = text.split("(S(");
    let mut cleaned = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        cleaned += "(…)";
        cleaned += part.split_once("))").map_or("", |(_, rest)| rest);
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn what_a_page_said_is_text_and_no_secret() {
        let since = Instant::now();
        let step = Step {
            began: since,
            took: None,
            what: "a dialog",
            on: On::Said("<script>alert('hunter2-hunter2')</script> http://erp.test/(S(s3ss10n))/x".into()),
            typed: Some("\"OK\"".into()),
            address: "http://erp.test/x".into(),
            problem: Some("a <b>problem</b> ".to_owned() + &"-".repeat(LONGEST - 20) + "hunter2-hunter2"),
            picture: Some(vec![1, 2, 3]),
        };
        let recorded = Recorded { since, steps: vec![step], forgotten: 7 };
        let html = page("nancy", recorded, vec![], |_| "/x".into(), &["hunter2-hunter2".into()]);
        assert!(
            html.contains("&lt;script&gt;alert('(removed)')&lt;/script&gt; http://erp.test/(…)/x"),
            "{html}"
        );
        assert!(html.contains("&quot;OK&quot;") && html.contains("a &lt;b&gt;problem"), "{html}");
        assert!(html.contains("<td>…</td>") && html.contains("7 steps before"), "{html}");
        assert!(html.contains("data:image/jpeg;base64,AQID") && html.contains("<td>/x</td>"), "{html}");
        assert!(!html.contains("hunter2") && !html.contains("s3ss10n"), "{html}");
    }

    #[test]
    fn what_may_be_secret_is_left_out_where_nobody_can_tell() {
        let mut step = Step {
            began: Instant::now(),
            took: None,
            what: "a dialog",
            on: On::Said("a cookie".into()),
            typed: Some("a cookie".into()),
            address: String::new(),
            problem: Some("a cookie".into()),
            picture: Some(vec![1]),
        };
        leave_out_what_may_be_secret(&mut step);
        let said = On::Said("(left out)".into());
        assert_eq!((step.on, step.picture), (said, None));
        assert_eq!(
            (step.typed.as_deref(), step.problem.as_deref()),
            (Some("(left out)"), Some("(left out)"))
        );
        assert_eq!(without_sessions("/(S(one))/x (S(two"), "/(…)/x (…)");
    }
}
