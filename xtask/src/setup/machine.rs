use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::Apt;
use crate::failure::Failure;

const CHROMIUM: [&str; 7] = [
    "chromium-headless-shell",
    "chrome-headless-shell",
    "headless_shell",
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];

/// Where things are on a machine, and what may be done there.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The folders of `PATH`.
    pub(crate) path: Vec<PathBuf>,
    /// `/usr/lib`.
    pub(crate) libraries: PathBuf,
    /// `/etc`.
    pub(crate) configuration: PathBuf,
    /// The environment variable `CHROME`.
    pub(crate) chrome: Option<OsString>,
    /// Whether packages may be installed.
    pub(crate) is_root: bool,
}

impl Machine {
    /// The one that this runs on.
    pub(crate) fn this() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            path: std::env::split_paths(&path).collect(),
            libraries: "/usr/lib".into(),
            configuration: "/etc".into(),
            chrome: std::env::var_os("CHROME").filter(|chrome| !chrome.is_empty()),
            is_root: is_root(),
        }
    }

    /// The first of these programs that is in `PATH`.
    pub(crate) fn program(&self, names: &[&str]) -> Option<PathBuf> {
        let mut places = names.iter().flat_map(|name| self.path.iter().map(move |folder| folder.join(name)));
        places.find(|path| is_program(path))
    }

    /// The same also where only administrators look: in `/usr/sbin`.
    pub(crate) fn service(&self, name: &str) -> Option<PathBuf> {
        let beside = self.libraries.parent().map(|usr| usr.join("sbin").join(name));
        self.program(&[name]).or_else(|| beside.filter(|path| is_program(path)))
    }

    /// What `CHROME` names, else a program in `PATH`, else one under `/usr/lib/chromium*`.
    pub(crate) fn chromium(&self) -> Result<Option<PathBuf>, Failure> {
        if let Some(chrome) = &self.chrome {
            let path = PathBuf::from(chrome);
            if is_program(&path) {
                return Ok(Some(path));
            }
            let name = path.display();
            return Err(Failure::Missing(format!(
                "CHROME must name a program that can be run, not `{name}`"
            )));
        }
        Ok(self.program(&CHROMIUM).or_else(|| {
            let folders = self.library_folders("chromium");
            folders
                .iter()
                .flat_map(|folder| CHROMIUM.map(|name| folder.join(name)))
                .find(|path| is_program(path))
        }))
    }

    /// The `initdb` of the newest version under `/usr/lib/postgresql`, else the one in `PATH`.
    pub(crate) fn postgres(&self) -> Option<PathBuf> {
        let mut versions = subfolders(&self.libraries.join("postgresql"));
        versions.sort_by_key(|folder| version(folder));
        let newest_first = versions.iter().rev().map(|folder| folder.join("bin/initdb"));
        newest_first.into_iter().find(|path| is_program(path)).or_else(|| self.program(&["initdb"]))
    }

    /// Debian's installer, where we may use it.
    pub(crate) fn installer(&self) -> Option<Apt> {
        self.program(&["apt-get"]).filter(|_| self.is_root).map(Apt::new)
    }

    fn library_folders(&self, prefix: &str) -> Vec<PathBuf> {
        let mut folders = subfolders(&self.libraries);
        folders.retain(|folder| folder.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix)));
        folders.sort();
        folders
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// `9.6` is older than `15`.
fn version(folder: &Path) -> Vec<u32> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}
