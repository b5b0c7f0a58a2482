//! Programs for Node that need packages of others: what npm makes of them stands below `target`, nothing beside the
//! sources.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::cargo;
use crate::failure::Failure;
use crate::process;

/// What such a program is made of, whichever it is. Without `.npmrc`, npm installs what packages merely go along with.
pub(crate) const FILES: [&str; 4] = ["package.json", "package-lock.json", ".npmrc", "main.mjs"];

/// The folder of a program with all that it needs, as its lock file says and without scripts.
///
/// # Errors
/// [`Failure::Missing`] where there is no Node, no npm or no registry.
pub(crate) fn install(sources: &str, name: &str) -> Result<PathBuf, Failure> {
    for program in ["node", "npm"] {
        let mut version = Command::new(program);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        if !version.status().is_ok_and(|status| status.success()) {
            return Err(Failure::Missing(format!(
                "`{program}` is missing: install Node 20 or newer, with npm"
            )));
        }
    }
    let folder = cargo::root().join("target/npm").join(name);
    fs::create_dir_all(&folder).map_err(Failure::io(format!("create {}", folder.display())))?;
    for file in FILES {
        let from = cargo::root().join(sources).join(file);
        fs::copy(&from, folder.join(file)).map_err(Failure::io(format!("copy {}", from.display())))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
    // Standard output has results and nothing else.
    npm.stdin(Stdio::null()).stdout(Stdio::null());
    process::run("npm ci", npm).map_err(|error| {
        Failure::Missing(format!(
            "what {sources} needs is not on this machine and could not be fetched ({}); run this once where the \
             registry of npm can be reached",
            error.in_full()
        ))
    })?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn what_npm_installs_is_pinned_and_nothing_else_is_copied() {
        for sources in ["benches/peers/puppeteer", crate::followers::SOURCES] {
            let sources = cargo::root().join(sources);
            let names = fs::read_dir(&sources)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap());
            assert_eq!(names.collect::<BTreeSet<_>>(), FILES.map(str::to_owned).into());
            let read = |file| {
                serde_json::from_str::<Value>(&fs::read_to_string(sources.join(file)).unwrap()).unwrap()
            };
            let (package, lock): (Value, Value) = (read("package.json"), read("package-lock.json"));
            for (name, version) in package["dependencies"].as_object().unwrap() {
                let locked = &lock["packages"][format!("node_modules/{name}")];
                assert_eq!(&locked["version"], version, "{name}");
                assert!(locked["integrity"].is_string(), "{name}");
            }
        }
    }
}
