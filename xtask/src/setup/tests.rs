use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

/// A machine in a folder; its `apt-get` writes what it was asked to `asked` and then runs `script`.
struct Fake {
    folder: tempfile::TempDir,
    machine: Machine,
}

impl Fake {
    fn new(is_root: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let machine = Machine {
            path: vec![at("bin")],
            libraries: at("lib"),
            configuration: at("etc"),
            chrome: None,
            is_root,
        };
        Self { folder, machine }
    }

    fn with_program(self, path: &str) -> Self {
        self.with_script(path, "")
    }

    fn with_apt(self, script: &str) -> Self {
        let root = self.folder.path().display().to_string();
        let program = "touch_program() { mkdir -p \"$(dirname \"$1\")\"; : > \"$1\"; chmod +x \"$1\"; }";
        let script = format!("cd {root}; echo \"$@\" | sed 's/.*confold //' >> asked; {program}; {script}");
        self.with_script("bin/apt-get", &script)
    }

    fn with_script(self, path: &str, script: &str) -> Self {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn ensure(&self, needs: &[Need]) -> Result<(), String> {
        ensure_on(&self.machine, needs).map_err(|failure| failure.in_full())
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default()
    }
}

const ALL: [Need; 4] = [Need::CCompiler, Need::Chromium, Need::Postgres, Need::PgBouncer];

#[test]
fn a_machine_that_has_all_is_left_alone() {
    let fake = Fake::new(true).with_apt("exit 1").with_program("bin/cc");
    let fake = fake.with_program("lib/chromium/chromium").with_program("lib/postgresql/15/bin/initdb");
    let fake = fake.with_program("sbin/pgbouncer");
    assert_eq!(fake.ensure(&ALL), Ok(()));
    assert_eq!(fake.asked(), "");
}

#[test]
fn without_the_right_to_install_everything_missing_is_named_and_the_code_is_3() {
    let fake = Fake::new(false).with_apt("exit 1");
    let failure = ensure_on(&fake.machine, &ALL).unwrap_err();
    let text = failure.in_full();
    for package in ["`libc6-dev`", "`chromium-headless-shell`", "`postgresql`", "`pgbouncer`"] {
        assert!(text.contains(package), "{text}");
    }
    assert!(matches!(failure, Failure::Missing(_)), "which exits 3");
    assert_eq!(fake.asked(), "");
}

#[test]
fn what_is_missing_and_nothing_else_is_installed() {
    let fake = Fake::new(true)
        .with_program("bin/cc")
        .with_program("bin/chromium")
        .with_program("bin/pgbouncer")
        .with_apt("[ $6 = update ] || touch_program lib/postgresql/15/bin/initdb");
    assert_eq!(fake.ensure(&ALL), Ok(()));
    assert_eq!(fake.asked(), "update\ninstall -y --no-install-recommends postgresql\n");
    let cluster = fs::read_to_string(fake.machine.configuration.join("postgresql-common/createcluster.conf"));
    assert_eq!(cluster.unwrap(), "create_main_cluster = false\n");
}

#[test]
fn where_there_is_no_headless_shell_chromium_is_installed() {
    let script = "case \"$*\" in *headless*) exit 100;; *chromium*) touch_program bin/chromium;; esac";
    let fake = Fake::new(true).with_apt(script);
    assert_eq!(fake.ensure(&[Need::Chromium]), Ok(()));
    assert!(fake.asked().ends_with("recommends chromium chromium-sandbox\n"), "{}", fake.asked());
}

#[test]
fn a_failed_installation_quotes_its_last_lines() {
    let fake = Fake::new(true).with_apt("seq 1 20; echo 'E: no route to the mirror' >&2; exit 100");
    let error = fake.ensure(&[Need::Chromium]).unwrap_err();
    assert!(error.contains("`apt-get update` failed (exit status: 100)"), "{error}");
    assert!(error.ends_with("  19\n  20\n  E: no route to the mirror"), "{error}");
    assert!(!error.contains("\n  13\n"), "{error}");
}

#[test]
fn an_installation_that_brings_nothing_is_an_error() {
    let fake = Fake::new(true).with_apt("");
    assert!(fake.ensure(&[Need::Postgres]).unwrap_err().contains("yet it is not found"));
}

#[test]
fn an_existing_cluster_configuration_is_kept() {
    let fake = Fake::new(true);
    let folder = fake.machine.configuration.join("postgresql-common");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("createcluster.conf"), "ssl = on\n").unwrap();
    apt::want_no_system_cluster(&fake.machine).unwrap();
    assert_eq!(fs::read_to_string(folder.join("createcluster.conf")).unwrap(), "ssl = on\n");
}

#[test]
fn chrome_decides_and_must_be_a_program() {
    let mut fake = Fake::new(false).with_program("bin/chromium").with_program("own/chrome");
    let own = fake.folder.path().join("own/chrome");
    fake.machine.chrome = Some(own.clone().into());
    assert_eq!(fake.machine.chromium().unwrap(), Some(own));
    fake.machine.chrome = Some("/nowhere/chrome".into());
    let error = fake.ensure(&[Need::Chromium]).unwrap_err();
    assert!(error.contains("CHROME") && error.contains("/nowhere/chrome"), "{error}");
}

#[test]
fn the_lighter_chromium_and_the_newest_postgres_are_found_first() {
    let fake = Fake::new(false).with_program("bin/chromium").with_program("bin/chromium-headless-shell");
    assert_eq!(name(&fake.machine.chromium().unwrap().unwrap()), "chromium-headless-shell");
    let fake =
        fake.with_program("lib/postgresql/9.6/bin/initdb").with_program("lib/postgresql/15/bin/initdb");
    let newest = fake.machine.postgres().unwrap();
    assert!(newest.ends_with("15/bin/initdb"), "{newest:?}");
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
