//! What Chromium says: messages of its protocol, one a line.

use archibald_browser::driver::fuzzed::{Ear, Heard};

pub(super) const WORDS: &[&str] = &[
    "\n",
    "{",
    "}",
    "\"",
    ":",
    ",",
    "null",
    "\"S\"",
    "\"T\"",
    "\"sessionId\":\"S\"",
    "\"targetId\":\"T\"",
    "\"openerId\":",
    "\"parentId\":",
    "Target.attachedToTarget",
    "Target.targetDestroyed",
    "Target.targetCrashed",
    "Page.frameNavigated",
    "Page.javascriptDialogOpening",
    "Page.frameAttached",
    "Browser.downloadWillBegin",
    "Browser.downloadProgress",
    "\"frameId\":\"F\"",
    "\"guid\":\"G\"",
    "completed",
    "\\u0000",
    "\\ud800",
    "18446744073709551616",
];

const DIALOG: &str = "Page.handleJavaScriptDialog";
const RUN: &str = "Runtime.runIfWaitingForDebugger";
const ENABLE: &str = "Page.enable";
const CANCEL: &str = "Browser.cancelDownload";
const CLOSE: &str = "Target.closeTarget";

pub(super) fn read(bytes: &[u8]) {
    let ear = Ear::default();
    let mut before = ear.hear(b"");
    assert_eq!(before.pages, 1, "the page is there");
    for line in bytes.split(|byte| *byte == b'\n') {
        let now = ear.hear(line);
        follows(&before, &now);
        before = now;
    }
}

/// A message moves the page by one step at most, and is answered by nothing but what it asks for.
fn follows(before: &Heard, now: &Heard) {
    let orders: Vec<_> = now.orders.iter().map(String::as_str).collect();
    let is = |name: &str| now.event.as_deref() == Some(name);
    assert!(now.pages <= before.pages, "a page that is gone stays so: {now:?}");
    let documents = now.documents - before.documents;
    assert!(documents == 0 || (documents == 1 && is("Page.frameNavigated")), "{before:?} {now:?}");
    let dialogs = now.dialogs - before.dialogs;
    assert!(dialogs == 0 || (dialogs == 1 && is("Page.javascriptDialogOpening")), "{before:?} {now:?}");
    assert_eq!(orders.contains(&DIALOG), dialogs == 1, "each dialog is answered, once: {now:?}");
    match (&before.file, &now.file) {
        (None, Some((name, is_over))) => {
            assert!(is("Browser.downloadWillBegin") && !is_over && !name.is_empty(), "{now:?}");
            assert!(!name.contains(['/', '\\']), "a name is no path: {now:?}");
        }
        (Some((_, true)), now) => assert_eq!(*now, before.file, "what is over stays so"),
        (Some((name, _)), Some((now, _))) => assert_eq!(name, now, "the first is the one"),
        (was, is) => assert_eq!(was, is),
    }
    match &orders[..] {
        [] | [DIALOG] => {}
        [CANCEL] => assert!(is("Browser.downloadWillBegin"), "{now:?}"),
        [ENABLE, RUN] | [RUN, CLOSE] => assert!(is("Target.attachedToTarget"), "{now:?}"),
        [CLOSE] => assert!(is("Page.frameNavigated") || is("Page.loadEventFired"), "{now:?}"),
        _ => panic!("{now:?}"),
    }
}
