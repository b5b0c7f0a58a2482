//! Finding the program, and the arguments it is run with.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{LaunchError, LaunchOptions, Sandbox};

/// A Chromium that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// The program itself, not a wrapper script where that could be told.
    pub path: PathBuf,
    /// Which of the two builds it is.
    pub kind: EngineKind,
}

/// The two builds of Chromium that serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// The build without a user interface: a quarter of the memory, several times faster to start.
    HeadlessShell,
    /// The whole browser, run without a window.
    Chromium,
}

/// By preference: the shell first, for its weight.
const NAMES: [&str; 6] = [
    "chromium-headless-shell",
    "chrome-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];

/// Where distributions keep the program that their wrapper script in PATH runs.
const LIBRARIES: [&str; 3] = ["/usr/lib/chromium", "/usr/lib64/chromium", "/usr/lib/chromium-browser"];

impl Engine {
    /// The program of the environment variable `CHROME`, else the first of the usual names in `PATH`;
    /// a wrapper script is passed over for the program of the same name under `/usr/lib`.
    ///
    /// # Errors
    /// [`LaunchError::NotInstalled`] says what to install, [`LaunchError::NotRunnable`] that `CHROME`
    /// names no program.
    pub fn find() -> Result<Self, LaunchError> {
        let (path, libraries) = places();
        find_in(std::env::var_os("CHROME"), &path, &libraries, &NAMES)
    }

    /// The first program of this kind in the same places; what `CHROME` names is not looked at.
    ///
    /// # Errors
    /// [`LaunchError::NotInstalled`] says what to install.
    pub fn of_kind(kind: EngineKind) -> Result<Self, LaunchError> {
        let (path, libraries) = places();
        find_in(None, &path, &libraries, &names_of(kind))
    }

    /// The named program.
    ///
    /// # Errors
    /// [`LaunchError::NotRunnable`] if it is no executable file.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, LaunchError> {
        let path = path.into();
        if !is_program(&path) {
            return Err(LaunchError::NotRunnable { path, expected: "an executable file" });
        }
        let kind = kind_of(&path.file_name().unwrap_or_default().to_string_lossy());
        Ok(Self { path, kind })
    }

    /// The arguments for a run on this profile: nothing in the background, nothing to anybody but the ERP.
    pub(super) fn arguments(&self, profile: &Path, options: &LaunchOptions) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = QUIET.iter().map(OsString::from).collect();
        let mut user_data = OsString::from("--user-data-dir=");
        user_data.push(profile);
        arguments.push(user_data);
        if self.kind == EngineKind::Chromium {
            arguments.push("--headless=new".into());
        }
        if !options.gate_keys.is_empty() {
            // Whatever else is wrong with their certificates; nobody else has these keys.
            let keys = options.gate_keys.join(",");
            arguments.push(format!("--ignore-certificate-errors-spki-list={keys}").into());
        }
        if options.sandbox == Sandbox::Off || nix::unistd::geteuid().is_root() {
            arguments.push("--no-sandbox".into());
        }
        arguments.push("about:blank".into());
        arguments
    }
}

const QUIET: [&str; 34] = [
    "--remote-debugging-port=0",
    "--remote-debugging-address=127.0.0.1",
    // No traffic of its own.
    "--disable-background-networking",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-pings",
    "--disable-breakpad",
    "--disable-crash-reporter",
    // Contexts have roads of their own; the browser itself has none.
    "--proxy-server=http://127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    // The last three cost time and memory for nothing here: a frame that is set up anew for each document (a good part of what
    // an order takes), a process kept ready for another site, and pages kept for somebody who goes back.
    "--disable-features=Translate,OptimizationHints,OptimizationGuideModelDownloading,MediaRouter,\
DialMediaRouteProvider,AutofillServerCommunication,InterestFeedContentSuggestions,\
CertificateTransparencyComponentUpdater,HttpsUpgrades,PaintHolding,\
RenderDocument,SpareRendererForSitePerProcess,BackForwardCache",
    // A page in the background works like one in front.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-hang-monitor",
    "--disable-ipc-flooding-protection",
    // Nothing that waits for a person.
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-popup-blocking",
    "--disable-infobars",
    "--disable-notifications",
    "--password-store=basic",
    "--use-mock-keychain",
    // Light, and the same everywhere.
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--mute-audio",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--window-size=1280,1024",
];

fn kind_of(name: &str) -> EngineKind {
    if name.contains("headless") { EngineKind::HeadlessShell } else { EngineKind::Chromium }
}

fn names_of(kind: EngineKind) -> Vec<&'static str> {
    NAMES.into_iter().filter(|name| kind_of(name) == kind).collect()
}

/// The folders of `PATH`, and those of libraries.
fn places() -> (Vec<PathBuf>, Vec<PathBuf>) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    (std::env::split_paths(&path).collect(), LIBRARIES.iter().map(PathBuf::from).collect())
}

fn find_in(
    named: Option<OsString>,
    path: &[PathBuf],
    libraries: &[PathBuf],
    names: &[&str],
) -> Result<Engine, LaunchError> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return Engine::at(named);
    }
    names
        .iter()
        .find_map(|name| {
            let in_path = path.iter().map(|folder| folder.join(name)).find(|file| is_program(file));
            let in_library = libraries.iter().map(|folder| folder.join(name)).find(|file| is_program(file));
            match in_path {
                Some(file) if is_script(&file) => in_library.or(Some(file)),
                Some(file) => Some(file),
                None => in_library,
            }
        })
        .map_or_else(|| Err(not_installed(path, libraries)), Engine::at)
}

fn not_installed(path: &[PathBuf], libraries: &[PathBuf]) -> LaunchError {
    let looked: Vec<String> =
        path.iter().chain(libraries).map(|folder| folder.display().to_string()).collect();
    LaunchError::NotInstalled { looked: looked.join(", ") }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn is_script(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 2];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == b"#!"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, name: &str, content: &str) -> PathBuf {
        let file = folder.join(name);
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn prefers_the_shell_and_the_program_behind_a_wrapper() {
        let (bin, lib) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(bin.path(), "chromium", "#!/bin/sh\n");
        let find = || find_in(None, &[bin.path().into()], &[lib.path().into()], &NAMES).unwrap();
        assert_eq!(find().path, bin.path().join("chromium"));
        put(lib.path(), "chromium", "ELF");
        assert_eq!(find().path, lib.path().join("chromium"));
        assert_eq!(find().kind, EngineKind::Chromium);
        put(bin.path(), "chromium-headless-shell", "ELF");
        assert_eq!(find().path, bin.path().join("chromium-headless-shell"));
        assert_eq!(find().kind, EngineKind::HeadlessShell);
    }

    #[test]
    fn one_of_the_wanted_kind_is_found_beside_one_that_is_preferred() {
        let bin = tempfile::tempdir().unwrap();
        put(bin.path(), "chromium-headless-shell", "ELF");
        let find = || find_in(None, &[bin.path().into()], &[], &names_of(EngineKind::Chromium));
        assert!(matches!(find(), Err(LaunchError::NotInstalled { .. })));
        let whole = put(bin.path(), "google-chrome", "ELF");
        assert_eq!(find().unwrap(), Engine { path: whole, kind: EngineKind::Chromium });
    }

    #[test]
    fn a_named_program_wins_and_a_wrong_name_is_an_error() {
        let bin = tempfile::tempdir().unwrap();
        let mine = put(bin.path(), "mine", "ELF");
        assert_eq!(find_in(Some(mine.clone().into()), &[], &[], &NAMES).unwrap().path, mine);
        let wrong = find_in(Some("/nowhere/chrome".into()), &[bin.path().into()], &[], &NAMES).unwrap_err();
        assert!(wrong.to_string().contains("/nowhere/chrome"), "{wrong}");
    }

    #[test]
    fn certificates_are_only_waived_for_the_gates_own_keys() {
        let engine = Engine { path: "chromium".into(), kind: EngineKind::Chromium };
        let waived = |gate_keys: &[&str]| {
            let gate_keys = gate_keys.iter().map(ToString::to_string).collect();
            let options = LaunchOptions { gate_keys, ..LaunchOptions::default() };
            let arguments = engine.arguments(Path::new("/profile"), &options).into_iter();
            arguments.filter(|it| it.to_string_lossy().contains("certificate-errors")).collect::<Vec<_>>()
        };
        assert_eq!(waived(&[]), Vec::<OsString>::new());
        assert_eq!(waived(&["a=", "b="]), ["--ignore-certificate-errors-spki-list=a=,b="]);
    }

    #[test]
    fn a_machine_without_chromium_is_told_what_to_install() {
        let bin = tempfile::tempdir().unwrap();
        let error = find_in(None, &[bin.path().into()], &[], &NAMES).unwrap_err().to_string();
        assert!(error.contains("chromium-headless-shell"), "{error}");
        assert!(error.contains(&bin.path().display().to_string()), "{error}");
    }
}
