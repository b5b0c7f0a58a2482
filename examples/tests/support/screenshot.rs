//! Pictures that the documentation shows, made by tests: small ones of what a window shows.

use std::path::{Path, PathBuf};

use archibald_browser::driver::{Limit, Page};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

const MOST: usize = 60 * 1024;

/// Kept in the folder that `ARCHIBALD_SCREENSHOTS` names, from the root of the repository on, else in the build's. What
/// the documentation has by this name must be there, and small.
pub async fn take(page: &Page, limit: &Limit, name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let asked = std::env::var_os("ARCHIBALD_SCREENSHOTS").map(|folder| root.join(folder));
    let folder = asked.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages"));
    std::fs::create_dir_all(&folder).unwrap();
    let picture = small(page, limit).await.unwrap_or_else(|| panic!("{name} is too large"));
    let file = format!("{name}.webp");
    std::fs::write(folder.join(&file), picture).unwrap();
    let shown = std::fs::metadata(root.join("docs/pictures").join(&file));
    assert!(shown.is_ok_and(|shown| shown.len() <= MOST as u64), "docs/pictures/{file} is missing or large");
}

/// As good as fits.
async fn small(page: &Page, limit: &Limit) -> Option<Vec<u8>> {
    for quality in [70, 50, 30, 15] {
        let params = json!({ "format": "webp", "quality": quality });
        let answer = page.command(limit, "Page.captureScreenshot", params).await.unwrap();
        let picture = STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
        if picture.len() <= MOST {
            return Some(picture);
        }
    }
    None
}
