//! A browser as people have it: each device a context of its own, with a window, keys and a network that can go.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use archibald_browser::driver::{Browser, Context, DriverError, Field, Limit, Page};
use archibald_browser::launch::LaunchOptions;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub const PHONE: (u32, u32) = (360, 740);
pub const DESK: (u32, u32) = (1280, 900);

/// Ample for a busy machine; what passes does not wait for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Notes what a page must not do, from its first script on.
const WATCH: &str = "if (!window.wrong) {
    window.wrong = [];
    const note = (...words) => window.wrong.push(words.map(String).join(' '));
    addEventListener('error', (event) => note(event.message ?? `not loaded: ${event.target.src ?? event.target.href}`), true);
    addEventListener('unhandledrejection', (event) => note('rejected:', event.reason));
    addEventListener('securitypolicyviolation', (event) => note('policy:', event.violatedDirective, event.blockedURI));
    for (const name of ['error', 'warn']) {
        const said = console[name];
        console[name] = (...words) => { note(...words); said(...words); };
    } }";

pub struct Chromium {
    browser: Browser,
    profiles: TempDir,
}

/// A window of a device that shares nothing with others.
pub struct Device {
    pub page: Page,
    context: Arc<Context>,
}

pub fn limit() -> Limit {
    Limit::budget(PATIENCE)
}

impl Chromium {
    pub async fn launch() -> Self {
        let profiles = tempfile::tempdir().unwrap();
        let options = LaunchOptions {
            profiles: profiles.path().into(),
            service_workers: true,
            ..LaunchOptions::default()
        };
        Self { browser: Browser::launch(&options).await.unwrap(), profiles }
    }

    /// A new device whose person speaks this language.
    pub async fn device(&self, (width, height): (u32, u32), scheme: &str, language: &str) -> Device {
        let context = Arc::new(self.browser.new_context(None).await.unwrap());
        let device = Device { page: context.new_page().await.unwrap(), context };
        device.prepare(language).await;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        device.command("Emulation.setDeviceMetricsOverride", size).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        device.command("Emulation.setEmulatedMedia", media).await;
        device
    }

    pub async fn close(self) {
        self.browser.close(Duration::from_secs(10)).await;
        drop(self.profiles);
    }
}

impl Device {
    async fn prepare(&self, language: &str) {
        let source =
            format!("{WATCH} try {{ localStorage['archibald.language'] ??= '{language}' }} catch {{}}");
        self.command("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await;
    }

    /// Another tab of the same device.
    pub async fn tab(&self) -> Self {
        let tab = Self { page: self.context.new_page().await.unwrap(), context: self.context.clone() };
        tab.prepare("it").await;
        tab
    }

    pub async fn open(&self, url: &str) {
        self.page.open(&limit(), url).await.unwrap();
    }

    pub async fn command(&self, method: &'static str, params: Value) -> Value {
        self.page.command(&limit(), method, params).await.unwrap()
    }

    /// Takes its network away, or gives it back.
    pub async fn offline(&self, offline: bool) {
        self.command("Network.enable", json!({})).await;
        let none =
            json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.command("Network.emulateNetworkConditions", none).await;
    }

    /// What an expression is worth.
    pub async fn read<T: DeserializeOwned>(&self, expression: &str) -> T {
        let function = format!("() => ({expression})");
        self.page.evaluate(&limit(), "looking", &function, &()).await.unwrap()
    }

    /// Waits until an expression is true.
    pub async fn until(&self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.holds(expression).await {
            if Instant::now() > until {
                let picture = self.picture("stuck").await;
                let text: String = self.read("document.body.innerText.slice(0, 2000)").await;
                panic!("never true: {expression}\n{text}\n{}", picture.display());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Not while the page is replaced by its next one.
    async fn holds(&self, expression: &str) -> bool {
        let function = format!("() => Boolean({expression})");
        match self.page.evaluate(&limit(), "looking", &function, &()).await {
            Err(DriverError::Replaced) => false,
            held => held.unwrap(),
        }
    }

    pub async fn click(&self, selector: &str) {
        self.page.click(&limit(), selector).await.unwrap();
    }

    /// Puts a value into a field.
    pub async fn fill(&self, selector: &str, value: &str) {
        let field = Field { selector, value, posts_back: false };
        self.page.fill(&limit(), field).await.unwrap();
    }

    pub async fn press(&self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            "Escape" => (27, ""),
            "ArrowDown" => (40, ""),
            "ArrowUp" => (38, ""),
            other => panic!("which key is {other}?"),
        };
        let mut down = json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if !text.is_empty() {
            down["text"] = text.into();
        }
        self.command("Input.dispatchKeyEvent", down).await;
        let up = json!({ "type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code });
        self.command("Input.dispatchKeyEvent", up).await;
    }

    /// Writes where the focus is.
    pub async fn write(&self, text: &str) {
        self.command("Input.insertText", json!({ "text": text })).await;
    }

    /// Tabs on until this has the focus.
    pub async fn tab_to(&self, selector: &str) {
        for _ in 0..60 {
            if self.read::<bool>(&format!("document.activeElement.matches({selector:?})")).await {
                return;
            }
            self.press("Tab").await;
        }
        panic!("{selector} is not reached by the keyboard");
    }

    /// A picture for whoever wants to look, kept in the build's folder.
    pub async fn picture(&self, name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("app-{name}.png"));
        std::fs::write(&path, self.page.screenshot(&limit()).await.unwrap()).unwrap();
        path
    }

    /// Nothing is wider than the window.
    pub async fn fits(&self) {
        let [whole, window]: [u32; 2] = self.read("[document.documentElement.scrollWidth, innerWidth]").await;
        if whole > window {
            let picture = self.picture("too-wide").await;
            panic!("{whole} px in a window of {window}: {}", picture.display());
        }
    }

    /// What stays on the page takes one row of it.
    pub async fn has_a_low_head(&self) {
        let height: f64 = self.read("document.querySelector('.top').offsetHeight").await;
        assert!(
            height < 64.0,
            "{height} px of a phone are its head: {}",
            self.picture("head").await.display()
        );
    }

    /// No script failed, and none complained.
    pub async fn is_well(&self) {
        let wrong: Vec<String> = self.read("window.wrong").await;
        assert_eq!(wrong, Vec::<String>::new());
    }
}

/// What a person does in the app.
impl Device {
    /// Signs in by a link, and waits until the app is there.
    pub async fn enter(&self, link: &str) {
        self.open(link).await;
        self.until("!document.getElementById('app').hidden").await;
        self.online().await;
        assert!(!self.read::<String>("location.href").await.contains("token"), "a token stays in no history");
    }

    pub async fn online(&self) {
        self.until("document.getElementById('line').dataset.tone === 'ok'").await;
    }

    /// Chooses the first suggestion for a text in the search field of this number.
    pub async fn choose(&self, number: usize, text: &str) {
        let field = format!("document.querySelectorAll('#editor [role=combobox]')[{number}]");
        self.read::<Option<bool>>(&format!("({field}.focus(), null)")).await;
        self.write(text).await;
        self.until(&format!("{field}.getAttribute('aria-activedescendant')")).await;
        self.press("Enter").await;
    }

    /// Begins an order with one line; it is saved when this ends. Answers its id.
    pub async fn begin_order(&self, customer: &str, product: &str, quantity: &str) -> String {
        self.click("#new").await;
        self.choose(0, customer).await;
        self.choose(1, product).await;
        self.write(quantity).await;
        self.saved().await;
        self.read("location.hash.split('/').pop()").await
    }

    pub async fn saved(&self) {
        self.until("/^✓/.test(document.querySelector('#editor .bar [role=status]')?.textContent) && !/local|new/.test(location.hash)").await;
    }

    pub async fn quantity(&self, value: &str) {
        self.fill("#editor .line .figure", value).await;
    }
}
