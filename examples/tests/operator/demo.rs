use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::browser::Tab;
use crate::office::{Running, start};

/// The demo and the address of its page.
pub fn demo(folder: &Path) -> (Running, String) {
    // Built with the tests, and looked for beside the demo.
    let _ = (env!("CARGO_BIN_EXE_server"), env!("CARGO_BIN_EXE_erp"));
    let args =
        ["--driver", "direct", "--store", "sqlite", "--agents", "3", "--orders", "6", "--latency-ms", "60"];
    let (running, address) = start_after_the_title(env!("CARGO_BIN_EXE_demo"), &args, folder);
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    (running, address)
}

/// Its first line says what the second one is.
fn start_after_the_title(program: &str, args: &[&str], folder: &Path) -> (Running, String) {
    let out = folder.join("out");
    let script = format!("exec {program} {} > {}", args.join(" "), out.display());
    let (running, _) = start("/bin/sh", &["-c", &script], folder);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(90);
    loop {
        let text = std::fs::read_to_string(&out).unwrap_or_default();
        if let (Some(line), true) = (text.lines().nth(1), text.contains("Ctrl-C")) {
            return (running, line.trim().to_owned());
        }
        assert!(std::time::Instant::now() < until, "the demo did not start: {text}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_is_killed_and_an_answer_dropped_and_the_figures_do_not_move() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, address) = demo(folder.path());
    let tab = Tab::open(&address, (1440, 1000), "light").await;
    tab.until("+document.querySelector('#done').innerText >= 6").await;
    tab.click("#many").await;
    // By keyboard, as everything can be.
    tab.tab_to("#fault-kill").await;
    tab.press("Enter").await;
    tab.until("document.querySelector('#fault-kill[aria-busy]')").await;
    tab.until("document.querySelector('[data-key=\"kill.found\"]')").await;
    let told: String = tab.read("document.querySelector('[data-key=\"kill.done\"]').innerText").await;
    assert!(told.contains("killed between click and answer"), "{told}");
    tab.click("#many").await;
    tab.click("#fault-drop").await;
    tab.until("document.querySelector('[data-key=\"drop.found\"]')").await;
    tab.until("document.querySelector('#open').innerText === '0'").await;
    tab.until("!document.querySelector('.fault[aria-busy]')").await;
    let figures: Vec<String> = tab
        .read("['duplicates', 'lost', 'kills', 'done'].map((id) => document.getElementById(id).innerText)")
        .await;
    assert_eq!(figures[..3], ["0", "0", "1"]);
    assert!(figures[3].parse::<u32>().unwrap() >= 12, "{figures:?}");
    let lists: Vec<String> =
        tab.read("['tablet', 'phone'].map((id) => document.getElementById(id).innerText)").await;
    assert_eq!(lists[0], lists[1], "two devices of one agent");
    tab.shot("demo").await;
    tab.is_well().await;
    tab.resize((360, 740)).await;
    tab.until("innerWidth === 360").await;
    tab.is_well().await;
    tab.shot("demo-phone").await;
    tab.close().await;
    kill(Pid::from_raw(i32::try_from(running.0.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

/// What a press does, that it is under way, and why it is refused is said beside the button, and the keys stay there.
#[tokio::test(flavor = "multi_thread")]
async fn every_button_says_what_came_of_its_press() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, address) = demo(folder.path());
    let tab = Tab::open(&address, (1280, 800), "light").await;
    tab.until("+document.querySelector('#done').innerText >= 6").await;
    let says =
        |id: &str, words: &str| format!("document.getElementById('{id}').innerText.includes('{words}')");
    tab.click("#many").await;
    tab.until(&says("many-answer", "3 orders are on their way")).await;
    tab.until("document.querySelector('[data-key=\"orders.placed\"]')").await;
    tab.until("+document.querySelector('#done').innerText >= 9").await;

    // It lasts, and is not begun again meanwhile: whoever presses again with the same key hears it.
    tab.tab_to("#fault-slow").await;
    tab.press("Enter").await;
    tab.until("document.querySelector('#fault-slow[aria-busy]')").await;
    tab.until(&says("fault-answer", "takes long now")).await;
    tab.press("Enter").await;
    tab.until(&says("fault-answer", "“Slow the ERP down” is still under way")).await;

    // What is to lose its answer does not run while everything is paused; the order was placed for this.
    operate(folder.path(), "pause").await;
    tab.click("#fault-drop").await;
    tab.until("document.querySelector('#fault-drop[aria-busy]')").await;
    tab.click("#fault-kill").await;
    tab.until(&says("fault-answer", "Not now: “Drop the answer”")).await;
    tab.until("document.querySelector('[data-key=\"order.placed\"]')").await;
    tab.shot("demo-refused").await;
    operate(folder.path(), "resume").await;

    // The last one that was taken tells its end, with the numbers to look at.
    tab.until("document.querySelector('[data-key=\"drop.found\"]')").await;
    tab.until("!document.querySelector('#fault-drop[aria-busy]')").await;
    tab.until(&says("fault-answer", "Done twice: 0, lost: 0")).await;
    tab.click("[data-order]").await;
    tab.until(&says("order-answer", "Both devices")).await;
    assert_eq!(tab.read::<String>("document.querySelector('#kills').innerText").await, "0");
    tab.is_well().await;
    tab.close().await;
}

/// Pauses or resumes everything, with what the demo printed for operators.
async fn operate(folder: &Path, verb: &str) {
    let printed = std::fs::read_to_string(folder.join("out")).unwrap();
    let board = printed.lines().map(str::trim).find(|line| line.contains("/board")).unwrap();
    let (base, token) = (board.split("/board").next().unwrap(), board.split("#token=").nth(1).unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = serde_json::json!({ "everything": true });
    let request = client.post(format!("{base}/v1/admin/{verb}")).bearer_auth(token).json(&body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 204, "{}", answer.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_the_runs_token_touches_the_controls() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, address) = demo(folder.path());
    let base = address.split("/demo").next().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in ["/demo/orders", "/demo/order/nancy", "/demo/fault/kill", "/demo/fault/slow"] {
        for token in ["", "wrong"] {
            let request = client.post(format!("{base}{path}")).bearer_auth(token);
            assert_eq!(request.send().await.unwrap().status(), 401, "{path}");
        }
    }
    assert_eq!(client.get(format!("{base}/demo/scene")).send().await.unwrap().status(), 401);
    // Without it the page says how the demo is started.
    let tab = Tab::open(&format!("{base}/demo"), (800, 600), "dark").await;
    tab.until("document.body.innerText.includes('cargo xtask demo')").await;
    tab.is_well().await;
    tab.close().await;
}
