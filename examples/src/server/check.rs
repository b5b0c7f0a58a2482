//! `server --check-page-map`: the page map held against a live site, told key by key and in pictures.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use archibald_browser::erp::{CheckError, MapReport, PageReport, Site, Verdict, check_page_map};
use archibald_browser::{PoolError, PoolOptions};
use archibald_core::id::AgentId;
use archibald_core::port::{CredentialProvider, Credentials};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::parts::{address, agents, erp, erp_ca, page_map};
use super::{Failure, FileError, SettingError, Settings};

/// Checks, prints, and says whether the map fits.
pub(super) async fn check(settings: &Settings) -> Result<bool, Failure> {
    let stop = told_to_stop().map_err(Failure::Signals)?;
    let map = page_map(settings).map_err(|error| FileError::new(Path::new(&error.file), error.what))?;
    let who = who(settings)?;
    let step = settings.span("page-budget")?;
    let folder = settings.get("report").map(|folder| made(settings, folder)).transpose()?;
    // With orders, so that there is one to open.
    let (_erp, base) = erp(settings, true).await?;
    let base = address(settings, &base)?;
    let options = PoolOptions { erp_ca: erp_ca(settings, base.as_str())?, ..PoolOptions::default() };
    let site = Site::new(map, base, step);
    let report = check_page_map(options, site, &who, &stop).await.map_err(failure)?;
    print!("{}", lines(&report));
    let folder = folder.map_or_else(new_folder, Ok).map_err(Failure::Report)?;
    let index = write(&folder, &report).map_err(Failure::Report)?;
    println!("{}\nthe report is {}", summary(&report), index.display());
    Ok(report.fits())
}

/// Fires at Ctrl-C and at a termination: the browser holds the agent's session and has to go first.
fn told_to_stop() -> io::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}

/// The agent of `--agent`, else the first by name.
fn who(settings: &Settings) -> Result<Credentials, Failure> {
    let agents = agents(settings)?;
    let chosen = match settings.get("agent") {
        Some(name) => AgentId::new(name).ok(),
        None => agents.agents().into_iter().next(),
    };
    let who = chosen.and_then(|agent| agents.credentials(&agent));
    who.ok_or_else(|| settings.refuse("agent", "one of the agents that --agents names").into())
}

/// The pictures show what agents see: the folder is its owner's alone.
fn made(settings: &Settings, folder: &str) -> Result<PathBuf, SettingError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let unusable = |_| settings.refuse("report", "a folder that is there or can be made");
    made.map_err(unusable)?;
    let folder = PathBuf::from(folder);
    let about = fs::metadata(&folder).map_err(unusable)?;
    let is_own = about.uid() == nix::unistd::geteuid().as_raw();
    let is_private = about.mode() & 0o077 == 0;
    let is_empty = fs::read_dir(&folder).map_err(unusable)?.next().is_none();
    if !is_own || !(is_private || is_empty) {
        return Err(settings.refuse(
            "report",
            "a folder of your own that is empty or that nobody else can look into (chmod 700)",
        ));
    }
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(unusable)?;
    Ok(folder)
}

fn new_folder() -> io::Result<PathBuf> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("archibald-page-map-").permissions(Permissions::from_mode(0o700));
    Ok(builder.tempdir()?.keep())
}

/// A file that its owner alone can read, in place of an earlier check's.
fn put(file: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?.write_all(bytes)
}

fn failure(error: CheckError) -> Failure {
    match error {
        CheckError::Pool(error @ (PoolError::Rules(_) | PoolError::Tls(_))) => Failure::Erp(error.into()),
        CheckError::Pool(error) => Failure::Browser(error.into()),
        CheckError::Browser(error) => Failure::Browser(error.into()),
        other => Failure::Check(other.into()),
    }
}

/// One line a key: page, key, verdict.
fn lines(report: &MapReport) -> String {
    let mut text = String::new();
    for page in &report.pages {
        let name = page.name();
        for finding in &page.findings {
            let _ = writeln!(text, "{name:<19}  {:<44}  {}", finding.key, finding.verdict);
        }
    }
    text
}

fn summary(report: &MapReport) -> String {
    let findings = || report.pages.iter().flat_map(|page| &page.findings);
    let count = |of: fn(&Verdict) -> bool| findings().filter(|finding| of(&finding.verdict)).count();
    let (wrong, found) =
        (count(|it| matches!(it, Verdict::Wrong(_))), count(|it| matches!(it, Verdict::Found)));
    let (unseen, unlisted) =
        (count(|it| matches!(it, Verdict::NotSeen(_))), count(|it| matches!(it, Verdict::Unlisted)));
    format!("{wrong} wrong, {found} found, {unseen} not seen, {unlisted} unlisted")
}

/// Writes the pictures and the page that shows them; answers that page.
fn write(folder: &Path, report: &MapReport) -> io::Result<PathBuf> {
    let mut html = format!("{HEAD}<h1>The page map, page by page</h1><p>{}</p>", summary(report));
    for (place, page) in (1..).zip(&report.pages) {
        let _ = write!(html, "<h2>{}</h2><table>", escaped(&page.name()));
        for finding in &page.findings {
            let class = match finding.verdict {
                Verdict::Wrong(_) => " class=\"wrong\"",
                Verdict::Found => "",
                _ => " class=\"unseen\"",
            };
            let (key, verdict) = (escaped(&finding.key), escaped(&finding.verdict.to_string()));
            let _ = write!(html, "<tr{class}><td><code>{key}</code></td><td>{verdict}</td></tr>");
        }
        html += "</table>";
        if let Some(picture) = &page.picture {
            let file = file_of(place, page, picture.media_type);
            put(&folder.join(&file), &picture.bytes)?;
            let _ = write!(html, "<img src=\"{file}\" alt=\"{}\">", escaped(&page.name()));
        }
    }
    let index = folder.join("index.html");
    put(&index, (html + "</html>\n").as_bytes())?;
    Ok(index)
}

/// Such as `07-order-new.png`.
fn file_of(place: usize, page: &PageReport, media_type: &str) -> String {
    let ending = if media_type == "image/png" { "png" } else { "jpg" };
    let dash = if page.view.is_empty() { "" } else { "-" };
    format!("{place:02}-{}{dash}{}.{ending}", page.page, page.view)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>The page map</title><style>\
body{font:14px/1.4 system-ui,sans-serif;margin:1rem;color-scheme:light dark}table{border-collapse:collapse}\
td{text-align:left;vertical-align:top;padding:.1rem .8rem;border-top:1px solid #8886;overflow-wrap:anywhere}\
.wrong{font-weight:bold;background:#c003}.unseen{opacity:.7}img{max-width:100%;border:1px solid #8886;margin-top:.5rem}\
</style>";

#[cfg(test)]
mod tests {
    use archibald_browser::erp::{Finding, Picture, Problem};

    use super::*;

    fn report() -> MapReport {
        let wrong = Verdict::Wrong(Problem::Missing("a > b".to_owned()));
        let findings = vec![
            Finding { key: "number".to_owned(), verdict: wrong },
            Finding { key: "save".to_owned(), verdict: Verdict::Found },
        ];
        let picture = Some(Picture { media_type: "image/png", bytes: vec![1, 2] });
        MapReport { pages: vec![PageReport { page: "order", view: "new", findings, picture }] }
    }

    #[test]
    fn a_line_names_page_key_and_verdict() {
        let lines = lines(&report());
        let words: Vec<_> = lines.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(words, ["order", "(new)", "number", "WRONG:", "a", ">", "b", "matches", "nothing"]);
        assert_eq!(summary(&report()), "1 wrong, 1 found, 0 not seen, 0 unlisted");
    }

    #[test]
    fn what_a_site_says_is_text_in_the_report() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &report()).unwrap();
        // As often as one likes, and never through a link.
        let (index, elsewhere) = (folder.path().join("index.html"), folder.path().join("elsewhere"));
        fs::remove_file(&index).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &index).unwrap();
        let index = write(folder.path(), &report()).unwrap();
        assert!(!elsewhere.exists());
        assert_eq!(fs::metadata(&index).unwrap().mode() & 0o777, 0o600);
        let html = fs::read_to_string(index).unwrap();
        assert!(html.contains("a &gt; b matches nothing") && html.contains("src=\"01-order-new.png\""));
        assert_eq!(fs::read(folder.path().join("01-order-new.png")).unwrap(), [1, 2]);
    }
}
