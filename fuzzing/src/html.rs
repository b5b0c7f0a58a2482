//! HTML: any page, as the driver without a browser reads it.

use archibald_testing::direct::fuzzed::read_page;

pub(super) const WORDS: &[&str] = &[
    "<",
    ">",
    "</",
    "\"",
    "'",
    "=",
    "<!--",
    "-->",
    "&amp;",
    "&#0;",
    "\r\n",
    "\0",
    "<tr class=\"row\">",
    "<td class=\"number\">",
    "<table id=\"ctl00_Main_Orders\">",
    "<input type=\"password\" value=\"",
    "<textarea name=\"ctl00$Main$Note\">",
    "<script>",
    "<plaintext>",
    "<title>",
    "id=\"ctl00_Main_",
    "__VIEWSTATE",
    "Pagina 1 di 7 (131)",
    "\u{e8}",
];

pub(super) fn read(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    read_page(200, &text);
    read_page(500, &text);
}
