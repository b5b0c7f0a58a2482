//! The one form of a page: filled and posted back as a browser would.

use archibald_core::port::ClientError;
use url::Url;
use url::form_urlencoded::Serializer;

use super::html::Element;
use super::page::{MAIN, Page};
use super::wire::Asked;

/// A form with what it holds, hidden fields and all.
#[derive(Debug, Clone)]
pub(super) struct Form {
    page: String,
    /// The page's own address, where it is posted.
    url: Url,
    fields: Vec<(String, String)>,
    /// Names and labels.
    buttons: Vec<(String, String)>,
}

impl Form {
    pub(super) fn of(page: &Page) -> Result<Self, ClientError> {
        let document = page.document();
        let pair = |element: &Element| {
            let name = element.attribute("name")?;
            Some((name.to_owned(), document.value(element).to_owned()))
        };
        let form = Self {
            page: page.name().to_owned(),
            url: action(page)?,
            fields: document.elements().iter().filter(|e| is_posted(e)).filter_map(pair).collect(),
            buttons: document.elements().iter().filter(|e| is_button(e)).filter_map(pair).collect(),
        };
        for hidden in ["__VIEWSTATE", "__EVENTTARGET", "__EVENTARGUMENT"] {
            if !form.fields.iter().any(|(name, _)| name == hidden) {
                return Err(page.unrecognised(hidden, &format!("#{hidden}"), "not there"));
            }
        }
        Ok(form)
    }

    /// Types a value into a field in place of what it holds.
    pub(super) fn fill(&mut self, name: &str, value: impl Into<String>) -> Result<(), ClientError> {
        let full = format!("{MAIN}{name}");
        let Some((_, field)) = self.fields.iter_mut().find(|(field, _)| *field == full) else {
            return Err(self.missing(name, "no such field, or it is disabled"));
        };
        *field = value.into();
        Ok(())
    }

    /// What leaves when a button is pressed.
    pub(super) fn press(mut self, button: &str) -> Result<Asked, ClientError> {
        let full = format!("{MAIN}{button}");
        let Some(pressed) = self.buttons.iter().find(|(name, _)| *name == full) else {
            return Err(self.missing(button, "no such button, or it is disabled"));
        };
        self.fields.push(pressed.clone());
        Ok(self.posted())
    }

    /// What leaves when a link posts back.
    pub(super) fn post_back(mut self, control: &str, argument: &str) -> Asked {
        let target = format!("{MAIN}{control}");
        for (name, value) in &mut self.fields {
            match name.as_str() {
                "__EVENTTARGET" => target.clone_into(value),
                "__EVENTARGUMENT" => argument.clone_into(value),
                _ => {}
            }
        }
        self.posted()
    }

    fn posted(self) -> Asked {
        let mut body = Serializer::new(String::new());
        for (name, value) in &self.fields {
            body.append_pair(name, &with_crlf(value));
        }
        Asked { url: self.url, form: Some(body.finish()) }
    }

    fn missing(&self, name: &str, detail: &str) -> ClientError {
        ClientError::Unrecognised {
            page: self.page.clone(),
            key: name.to_owned(),
            selector: format!("#ctl00_Main_{name}"),
            detail: detail.to_owned(),
        }
    }
}

fn action(page: &Page) -> Result<Url, ClientError> {
    let form = page.document().by_id("aspnetForm");
    let form = form.ok_or_else(|| page.unrecognised("form", "#aspnetForm", "not there"))?;
    let action = form.attribute("action").unwrap_or_default();
    let url = page.url().join(action).ok().filter(|url| url.origin() == page.url().origin());
    url.ok_or_else(|| page.unrecognised("form", "#aspnetForm", format!("posts to {action:?}")))
}

/// Fields that a browser posts whatever was pressed.
fn is_posted(element: &Element) -> bool {
    let kind = element.attribute("type").unwrap_or("text");
    let is_field = match kind {
        _ if element.is("textarea") => true,
        "submit" | "button" | "image" | "reset" | "file" => false,
        "checkbox" | "radio" => element.is("input") && element.attribute("checked").is_some(),
        _ => element.is("input"),
    };
    is_field && element.attribute("disabled").is_none()
}

fn is_button(element: &Element) -> bool {
    let pressable = element.is("input") && element.attribute("type") == Some("submit");
    pressable && element.attribute("disabled").is_none()
}

/// Line ends as forms carry them.
fn with_crlf(value: &str) -> String {
    value.replace("\r\n", "\n").replace('\n', "\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direct::wire::Answer;

    const HTML: &str = r#"<form id="aspnetForm" action="/Order.aspx?number=5">
        <input type="hidden" name="__EVENTTARGET"><input type="hidden" name="__EVENTARGUMENT">
        <input type="hidden" name="__VIEWSTATE" value="a+b">
        <input type="text" name="ctl00$Main$Customer" value="ALFKI">
        <input type="text" name="ctl00$Main$Date" value="x" disabled="disabled">
        <textarea name="ctl00$Main$Note">
</textarea><input type="button" name="no"><input type="text" id="nameless">
        <input type="submit" name="ctl00$Main$Save" value="Salva"><input type="submit" name="ctl00$Main$Send">"#;

    fn form(html: &str) -> Result<Form, ClientError> {
        let url = Url::parse("http://127.0.0.1:1/Order.aspx?number=5").unwrap();
        let answer = Answer { url, status: 200, location: None, body: html.to_owned() };
        Form::of(&Page::served(&answer).unwrap())
    }

    #[test]
    fn a_pressed_button_posts_itself_and_every_field_that_is_not_disabled() {
        let mut form = form(HTML).unwrap();
        form.fill("Note", "a\nb").unwrap();
        let asked = form.press("Save").unwrap();
        assert_eq!(asked.url.as_str(), "http://127.0.0.1:1/Order.aspx?number=5");
        let body = "__EVENTTARGET=&__EVENTARGUMENT=&__VIEWSTATE=a%2Bb&ctl00%24Main%24Customer=ALFKI\
                    &ctl00%24Main%24Note=a%0D%0Ab&ctl00%24Main%24Save=Salva";
        assert_eq!(asked.form.as_deref(), Some(body));
    }

    #[test]
    fn a_link_posts_its_control_and_argument_and_no_button() {
        let asked = form(HTML).unwrap().post_back("Lines", "Page$2");
        let body = asked.form.unwrap();
        assert!(body.starts_with("__EVENTTARGET=ctl00%24Main%24Lines&__EVENTARGUMENT=Page%242&"), "{body}");
        assert!(!body.contains("Save"), "{body}");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let told = |error: ClientError| error.to_string();
        let mut whole = form(HTML).unwrap();
        assert!(told(whole.fill("Date", "1").unwrap_err()).contains("#ctl00_Main_Date"));
        assert!(told(whole.press("Delete").unwrap_err()).contains("#ctl00_Main_Delete"));
        assert!(told(form("<form id=aspnetForm>").unwrap_err()).contains("__VIEWSTATE"));
        assert!(told(form("<p>").unwrap_err()).contains("#aspnetForm"));
        assert!(told(form("<form id=aspnetForm action='http://other/'>").unwrap_err()).contains("posts to"));
    }
}
