//! HTML, as much of it as reading a page takes: elements in order, what is inside of them, their text.
//!
//! A standard tokenizer decides what is a tag, an attribute or text. Above it nesting is taken as written,
//! and an end tag closes what was left open inside: enough for pages that are not guessed at.

use std::collections::BTreeMap;
use std::ops::Range;

use html5gum::{DefaultEmitter, HtmlString, Spanned, StartTag, Token, Tokenizer};

/// A page, read.
#[derive(Debug, Default)]
pub(super) struct Document {
    elements: Vec<Element>,
    /// All text, in order.
    text: String,
}

/// An element, by what it is and where its content is.
#[derive(Debug)]
pub(super) struct Element {
    tag: String,
    attributes: BTreeMap<String, String>,
    inner: Range<usize>,
    text: Range<usize>,
}

impl Document {
    pub(super) fn read(html: &str) -> Self {
        let mut emitter = DefaultEmitter::default();
        // Without this a script's text would be read as tags.
        emitter.naively_switch_states(true);
        let mut reader = Reader::default();
        for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
            match token {
                Token::StartTag(tag) => reader.open(&tag),
                Token::EndTag(tag) => reader.close(&string(&tag.name)),
                Token::String(text) => reader.document.text.push_str(&string(&text)),
                Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
            }
        }
        reader.end()
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Element> {
        self.elements.iter().find(|element| element.attribute("id") == Some(id))
    }

    pub(super) fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// The elements of that tag inside of another, however deep.
    pub(super) fn within<'a>(
        &'a self,
        outer: &Element,
        tag: &'a str,
    ) -> impl Iterator<Item = &'a Element> + use<'a> {
        self.elements[outer.inner.clone()].iter().filter(move |element| element.tag == tag)
    }

    /// All text inside, as it stands there.
    pub(super) fn text(&self, element: &Element) -> &str {
        &self.text[element.text.clone()]
    }

    /// What a field holds: an input's value, a text area's text.
    pub(super) fn value<'a>(&'a self, field: &'a Element) -> &'a str {
        if field.tag != "textarea" {
            return field.attribute("value").unwrap_or_default();
        }
        // The line end behind the start tag is the page's and not the text's.
        let text = self.text(field);
        text.strip_prefix('\n').unwrap_or(text)
    }
}

impl Element {
    pub(super) fn is(&self, tag: &str) -> bool {
        self.tag == tag
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    pub(super) fn has_class(&self, class: &str) -> bool {
        self.attribute("class").is_some_and(|classes| classes.split_whitespace().any(|one| one == class))
    }
}

/// The HTML without the values of its password fields.
pub(super) fn without_passwords(html: &str) -> String {
    let mut emitter = DefaultEmitter::<usize>::new_with_span();
    emitter.naively_switch_states(true);
    let mut clean = String::with_capacity(html.len());
    let mut kept = 0;
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        let Token::StartTag(tag) = token else { continue };
        let kind = tag.attributes.get(b"type".as_slice());
        if tag.name.as_slice() == b"input" && kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"password"))
        {
            clean.push_str(html.get(kept..tag.span.start).unwrap_or_default());
            clean.push_str(r#"<input type="password" />"#);
            kept = tag.span.end;
        }
    }
    clean + html.get(kept..).unwrap_or_default()
}

#[derive(Default)]
struct Reader {
    document: Document,
    /// Elements whose end has not come yet, the innermost last.
    open: Vec<usize>,
}

impl Reader {
    fn open(&mut self, tag: &StartTag<()>) {
        const VOID: [&str; 13] = [
            "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
            "wbr",
        ];
        let place = self.document.elements.len();
        let text = self.document.text.len();
        let name = string(&tag.name);
        if !VOID.contains(&name.as_str()) {
            self.open.push(place);
        }
        let attribute =
            |(name, value): (&HtmlString, &Spanned<HtmlString, ()>)| (string(name), string(value));
        self.document.elements.push(Element {
            tag: name,
            attributes: tag.attributes.iter().map(attribute).collect(),
            inner: place + 1..place + 1,
            text: text..text,
        });
    }

    fn close(&mut self, tag: &str) {
        let elements = &self.document.elements;
        let Some(depth) = self.open.iter().rposition(|place| elements[*place].tag == tag) else { return };
        self.close_down_to(depth);
    }

    fn close_down_to(&mut self, depth: usize) {
        let (elements, text) = (self.document.elements.len(), self.document.text.len());
        for place in self.open.drain(depth..) {
            let element = &mut self.document.elements[place];
            element.inner.end = elements;
            element.text.end = text;
        }
    }

    fn end(mut self) -> Document {
        self.close_down_to(0);
        self.document
    }
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_text_and_values_are_read() {
        let document = Document::read(
            "<!DOCTYPE html><body><script>if (a<b) { x('<p id=\"no\">'); }</script>\
             <table id=t><tr class=\"row first\"><td class=name>Caff&egrave; &amp; <b>t&#232;</b></td><tr class=row>\
             </table><input id=i value=\"a &quot;b&quot;\" disabled><textarea id=a>\n\nx &lt; y\n</textarea>",
        );
        assert!(document.by_id("no").is_none());
        let table = document.by_id("t").unwrap();
        let rows: Vec<_> = document.within(table, "tr").collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].has_class("row") && rows[0].has_class("first"));
        let cell = document.within(rows[0], "td").next().unwrap();
        assert_eq!(document.text(cell), "Caffè & tè");
        assert_eq!(document.value(document.by_id("i").unwrap()), "a \"b\"");
        assert_eq!(document.by_id("i").unwrap().attribute("disabled"), Some(""));
        assert_eq!(document.value(document.by_id("a").unwrap()), "\nx < y\n");
    }

    #[test]
    fn whatever_is_left_open_ends_with_the_page() {
        let document = Document::read("<div id=d>a<span id=s>b</p>c");
        let text = |id| document.text(document.by_id(id).unwrap());
        assert_eq!((text("d"), text("s")), ("abc", "bc"));
    }

    #[test]
    fn passwords_are_taken_out_and_nothing_else() {
        let html = "<p>è</p><input name=u value=nancy><INPUT type='Password' value=\"hush\" ><p>z</p>";
        let clean = "<p>è</p><input name=u value=nancy><input type=\"password\" /><p>z</p>";
        assert_eq!(without_passwords(html), clean);
        assert_eq!(without_passwords("<b>no field"), "<b>no field");
    }
}
