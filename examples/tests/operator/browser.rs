//! A browser as a person has it: keys, a window of some size, and eyes.

use std::path::Path;
use std::time::Duration;

use archibald_browser::driver::{Browser, Context, Limit, Page};
use archibald_browser::launch::LaunchOptions;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Ample for a busy machine; what passes does not wait for it.
const PATIENCE: Duration = Duration::from_secs(90);

/// Notes down what a page must not do, from its first script on.
const WATCH: &str = "window.wrong = [];
    const note = (text) => window.wrong.push(String(text));
    addEventListener('error', (event) => note(event.message ?? 'an error'));
    addEventListener('unhandledrejection', (event) => note(event.reason));
    addEventListener('securitypolicyviolation', (event) => note('policy: ' + event.violatedDirective));
    const error = console.error;
    console.error = (...words) => { note(words.join(' ')); error(...words); };";

/// One tab of a browser of its own.
pub struct Tab {
    pub page: Page,
    _context: Context,
    browser: Browser,
    profiles: TempDir,
}

pub fn seconds(count: u64) -> Limit {
    Limit::budget(Duration::from_secs(count))
}

impl Tab {
    pub async fn open(url: &str, size: (u32, u32), scheme: &str) -> Self {
        let profiles = tempfile::tempdir().unwrap();
        let options = LaunchOptions { profiles: profiles.path().into(), ..LaunchOptions::default() };
        let browser = Browser::launch(&options).await.unwrap();
        let context = browser.new_context(None).await.unwrap();
        let page = context.new_page().await.unwrap();
        let tab = Self { page, _context: context, browser, profiles };
        tab.command("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH })).await;
        tab.resize(size).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        tab.command("Emulation.setEmulatedMedia", media).await;
        tab.command("Emulation.setLocaleOverride", json!({ "locale": "en-GB" })).await;
        tab.page.open(&seconds(60), url).await.unwrap();
        tab
    }

    pub async fn command(&self, method: &'static str, params: Value) -> Value {
        self.page.command(&seconds(60), method, params).await.unwrap()
    }

    pub async fn resize(&self, (width, height): (u32, u32)) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// What an expression is worth.
    pub async fn read<T: DeserializeOwned>(&self, expression: &str) -> T {
        let function = format!("() => ({expression})");
        self.page.evaluate(&seconds(60), "looking", &function, &()).await.unwrap()
    }

    /// Waits until an expression is true.
    pub async fn until(&self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.read::<bool>(&format!("!!({expression})")).await {
            if Instant::now() > until {
                let picture = self.shot("stuck").await;
                let text: String = self.read("document.body.innerText.slice(0, 3000)").await;
                panic!("never true: {expression}\n{text}\n{}", picture.display());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn click(&self, selector: &str) {
        self.page.click(&seconds(60), selector).await.unwrap();
    }

    /// Presses a key and lets it go.
    pub async fn press(&self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            "Escape" => (27, ""),
            "ArrowDown" => (40, ""),
            " " => (32, " "),
            other => (u32::from(other.as_bytes()[0].to_ascii_uppercase()), other),
        };
        let mut event = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        if !text.is_empty() {
            event["text"] = text.into();
        }
        self.command("Input.dispatchKeyEvent", event).await;
        let event = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
        self.command("Input.dispatchKeyEvent", event).await;
    }

    /// Tabs on until this has the focus.
    pub async fn tab_to(&self, selector: &str) {
        for _ in 0..60 {
            if self.read::<bool>(&format!("document.activeElement.matches({selector:?})")).await {
                return;
            }
            self.press("Tab").await;
        }
        panic!("{selector} cannot be reached with the keyboard");
    }

    pub async fn write(&self, text: &str) {
        self.command("Input.insertText", json!({ "text": text })).await;
    }

    /// A picture for whoever wants to look, kept under the build's folder.
    pub async fn shot(&self, name: &str) -> std::path::PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        let picture = self.page.screenshot(&seconds(60)).await.unwrap();
        std::fs::write(&path, picture).unwrap();
        path
    }

    /// Nothing wrong was noted, and nothing is wider than the window.
    pub async fn is_well(&self) {
        let wrong: Vec<String> = self.read("window.wrong").await;
        assert_eq!(wrong, Vec::<String>::new());
        let [whole, window]: [u32; 2] = self.read("[document.documentElement.scrollWidth, innerWidth]").await;
        assert!(whole <= window, "{whole} px in a window of {window}");
    }

    pub async fn close(self) {
        self.browser.close(Duration::from_secs(10)).await;
        drop(self.profiles);
    }
}
