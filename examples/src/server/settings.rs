//! Where each setting comes from: flag, environment, file, default, in this order.

mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use archibald_core::schedule::Schedule;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};

use self::table::{FLAGS, SETTINGS, Setting};
use super::agents::in_words;
use super::schedules;

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// The command line itself.
    #[error("{0}")]
    CommandLine(#[from] clap::Error),
    /// The configuration file.
    #[error("the configuration file {path}: {what}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A value that is needed and was given nowhere.
    #[error("{key} is missing: it must be {expected}")]
    Missing {
        /// Which setting.
        key: &'static str,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A value.
    #[error("{key} (from {source_name}) must be {expected}, got {got:?}")]
    Value {
        /// Which setting.
        key: &'static str,
        /// Where it came from.
        source_name: String,
        /// What would have been accepted.
        expected: &'static str,
        /// What was given.
        got: String,
    },
}

/// What holds, and where each value came from.
#[derive(Debug, Clone)]
pub struct Settings {
    values: BTreeMap<&'static str, (String, String)>,
    flags: BTreeMap<&'static str, bool>,
    token: Option<TokenWish>,
    schedules: Vec<Schedule>,
}

/// What `server token` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenWish {
    /// Whose; an operator's where it is absent.
    pub agent: Option<String>,
    /// How long it holds.
    pub ttl: Duration,
}

impl Settings {
    /// Reads the command line, the environment and the configuration file.
    ///
    /// # Errors
    /// [`SettingError`]; `--help` comes as one too.
    pub fn read(args: impl IntoIterator<Item = String>) -> Result<Self, SettingError> {
        Self::resolve(args, |name| std::env::var(name).ok())
    }

    fn resolve(
        args: impl IntoIterator<Item = String>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingError> {
        let matches = command().try_get_matches_from(args)?;
        let token = matches.subcommand_matches("token").map(token_wish).transpose()?;
        let config = matches.get_one::<String>("config").cloned().or_else(|| env("ARCHIBALD_CONFIG"));
        let file = config.map(|path| read_file(Path::new(&path))).transpose()?;
        let (file, schedules) = file.unwrap_or_default();
        let mut values = BTreeMap::new();
        for setting in SETTINGS {
            let flag = matches.get_one::<String>(setting.key).cloned();
            let found = flag
                .map(|value| (value, format!("--{}", setting.key)))
                .or_else(|| from_environment(setting, &env))
                .or_else(|| {
                    file.get(setting.key).map(|value| (value.clone(), "the configuration file".to_owned()))
                })
                .or_else(|| setting.default.map(|value| (value.to_owned(), "default".to_owned())));
            if let Some(found) = found {
                values.insert(setting.key, found);
            }
        }
        let flags = FLAGS.iter().map(|(name, _)| (*name, matches.get_flag(name))).collect();
        Ok(Self { values, flags, token, schedules })
    }

    /// A setting that may be absent.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(value, _)| value.as_str())
    }

    /// A setting that has a default.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// Whether a flag without a value is given.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.flags.get(name).copied().unwrap_or(false)
    }

    /// What `server token` was asked for, if it was.
    #[must_use]
    pub fn token(&self) -> Option<&TokenWish> {
        self.token.as_ref()
    }

    /// What is asked for by itself; only the configuration file has any.
    #[must_use]
    pub fn schedules(&self) -> &[Schedule] {
        &self.schedules
    }

    /// A whole number of at least 1.
    ///
    /// # Errors
    /// [`SettingError::Value`].
    pub fn count(&self, key: &'static str) -> Result<usize, SettingError> {
        let parsed = self.text(key).parse().ok().filter(|count| (1..=100_000).contains(count));
        parsed.ok_or_else(|| self.refuse(key, "a whole number from 1 to 100000"))
    }

    /// A span of time, as `500ms`, `30s` or `5m`.
    ///
    /// # Errors
    /// [`SettingError::Value`].
    pub fn span(&self, key: &'static str) -> Result<Duration, SettingError> {
        parse_span(self.text(key)).ok_or_else(|| self.refuse(key, "a time such as 500ms, 30s or 5m"))
    }

    /// A complaint about a setting, with where it came from.
    #[must_use]
    pub fn refuse(&self, key: &'static str, expected: &'static str) -> SettingError {
        match self.values.get(key).cloned() {
            Some((got, source_name)) => SettingError::Value { key, source_name, expected, got: masked(&got) },
            None => SettingError::Missing { key, expected },
        }
    }

    /// One line a setting: what holds and where it came from, secrets masked.
    #[must_use]
    pub fn print(&self) -> String {
        let values = self.values.iter();
        let values = values.map(|(key, (value, source))| format!("{key} = {} ({source})\n", masked(value)));
        let schedules = self.schedules.iter().map(|schedule| {
            format!(
                "schedule {} = {} (the configuration file)\n",
                schedule.name,
                schedules::describe(schedule)
            )
        });
        values.chain(schedules).collect()
    }
}

fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("Configuration file (TOML, keys as the flags)");
    let mut command = Command::new("server")
        .about("Serves Archibald: accepts operations over HTTP and drives the ERP with them")
        .after_help("Each flag has an environment variable: --page-map is ARCHIBALD_PAGE_MAP.")
        .arg(config);
    for setting in SETTINGS {
        let mut help = setting.help.to_owned();
        if let Some(default) = setting.default {
            help.push_str(&format!(" [default: {default}]"));
        }
        let arg = Arg::new(setting.key).long(setting.key).value_name(setting.value).help(help);
        // The only one that `server token` looks at, too.
        command = command.arg(arg.global(setting.key == "jwt-key"));
    }
    for (name, help) in FLAGS {
        command = command.arg(Arg::new(*name).long(*name).action(ArgAction::SetTrue).help(*help));
    }
    command.subcommand(token_command())
}

fn token_command() -> Command {
    let agent = Arg::new("agent").long("agent").value_name("NAME").help("Whose it is");
    let operator = Arg::new("operator").long("operator").action(ArgAction::SetTrue);
    let ttl = Arg::new("ttl").long("ttl").value_name("TIME").default_value("8h");
    let about = "Prints a JSON Web Token, made with the key that is configured";
    Command::new("token")
        .about(about)
        .arg(agent)
        .arg(operator.help("It reaches everything"))
        .arg(ttl.help("How long it holds, such as 30m or 8h"))
        .group(ArgGroup::new("whose").args(["agent", "operator"]).required(true))
}

fn token_wish(matches: &ArgMatches) -> Result<TokenWish, SettingError> {
    let text = matches.get_one::<String>("ttl").map_or("8h", String::as_str);
    let ttl = parse_span(text).filter(|ttl| !ttl.is_zero()).ok_or_else(|| SettingError::Value {
        key: "ttl",
        source_name: "--ttl".to_owned(),
        expected: "a time such as 30m or 8h, up to 720h",
        got: text.to_owned(),
    })?;
    Ok(TokenWish { agent: matches.get_one::<String>("agent").cloned(), ttl })
}

fn from_environment(setting: &Setting, env: impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
    let name = format!("ARCHIBALD_{}", setting.key.to_uppercase().replace('-', "_"));
    std::iter::once(name.as_str())
        .chain(setting.aliases.iter().copied())
        .find_map(|name| env(name).map(|value| (value, name.to_owned())))
}

/// What a configuration file holds: settings by their keys, and schedules.
type FromFile = (BTreeMap<String, String>, Vec<Schedule>);

fn read_file(path: &Path) -> Result<FromFile, SettingError> {
    let refuse = |what: String| SettingError::File { path: path.display().to_string(), what };
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let mut table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| refuse(in_words(&text, &error)))?;
    let schedules = table.remove("schedule").map(schedules::read).transpose().map_err(refuse)?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if !SETTINGS.iter().any(|setting| setting.key == key) {
            let known: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
            return Err(refuse(format!(
                "unknown key {key:?}; known keys are {}, schedule",
                known.join(", ")
            )));
        }
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            other => {
                return Err(refuse(format!("{key} must be a text or a number, got {}", kind_of(&other))));
            }
        };
        values.insert(key, text);
    }
    Ok((values, schedules.unwrap_or_default()))
}

/// What stands there, without what it says.
fn kind_of(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::Array(_) => "a list",
        toml::Value::Table(_) => "a table",
        toml::Value::Boolean(_) => "true or false",
        toml::Value::Datetime(_) => "a date or a time",
        toml::Value::Float(_) => "a number with a point",
        toml::Value::String(_) | toml::Value::Integer(_) => "something else",
    }
}

pub(super) fn parse_span(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let span = match unit {
        "ms" => Duration::from_millis(number),
        "s" | "" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        _ => return None,
    };
    (span <= Duration::from_secs(30 * 24 * 3600)).then_some(span)
}

/// A URL without its password.
fn masked(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let Some((login, host)) = rest.rsplit_once('@') else { return value.to_owned() };
    let user = login.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}:***@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(args: &[&str], env: &[(&str, &str)]) -> Result<Settings, SettingError> {
        let args = std::iter::once("server").chain(args.iter().copied()).map(str::to_owned);
        let env: BTreeMap<String, String> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::resolve(args, move |name| env.get(name).cloned())
    }

    #[test]
    fn flag_before_environment_before_file_before_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "browsers = 7\ncontexts = 8\nconcurrency = 9\n").unwrap();
        let path = file.path().to_str().unwrap();
        let settings = resolve(
            &["--config", path, "--browsers", "1"],
            &[("ARCHIBALD_BROWSERS", "2"), ("MAX_CONTEXTS_PER_BROWSER", "3")],
        )
        .unwrap();
        assert_eq!(settings.count("browsers").unwrap(), 1);
        assert_eq!(settings.count("contexts").unwrap(), 3);
        assert_eq!(settings.count("concurrency").unwrap(), 9);
        assert_eq!(settings.text("listen"), "127.0.0.1:8080");
        let printed = settings.print();
        assert!(printed.contains("contexts = 3 (MAX_CONTEXTS_PER_BROWSER)"), "{printed}");
    }

    #[test]
    fn a_bad_value_names_the_setting_its_source_and_what_was_expected() {
        let error = resolve(&[], &[("ARCHIBALD_BROWSERS", "many")]).unwrap().count("browsers").unwrap_err();
        assert_eq!(
            error.to_string(),
            "browsers (from ARCHIBALD_BROWSERS) must be a whole number from 1 to 100000, got \"many\""
        );
        let error = resolve(&["--lease", "soon"], &[]).unwrap().span("lease").unwrap_err();
        assert!(error.to_string().contains("a time such as 500ms"));
        assert!(resolve(&["--no-such-flag"], &[]).is_err());
    }

    #[test]
    fn an_unknown_key_in_the_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "browser = 7\n").unwrap();
        let error = resolve(&["--config", file.path().to_str().unwrap()], &[]).unwrap_err();
        assert!(error.to_string().contains("unknown key \"browser\""), "{error}");
    }

    #[test]
    fn schedules_come_from_the_file_and_are_printed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[[schedule]]\nkind = \"sync-orders\"\nevery = \"15m\"\n").unwrap();
        let settings = resolve(&["--config", file.path().to_str().unwrap()], &[]).unwrap();
        assert_eq!(settings.schedules().len(), 1);
        let printed = settings.print();
        assert!(
            printed.contains("schedule sync-orders = sync-orders every 900s, spread over 600s"),
            "{printed}"
        );
        std::fs::write(file.path(), "[[schedule]]\nkind = \"sync-orders\"\n").unwrap();
        let error = resolve(&["--config", file.path().to_str().unwrap()], &[]).unwrap_err().to_string();
        assert!(error.contains("schedule 1 (sync-orders): there must be either cron or every"), "{error}");
    }

    #[test]
    fn a_token_is_for_one_agent_or_for_an_operator_and_for_a_time() {
        let token = |args: &[&str]| resolve(args, &[]).map(|settings| settings.token().cloned());
        let wish = |agent: Option<&str>, hours: u64| {
            Some(TokenWish { agent: agent.map(str::to_owned), ttl: Duration::from_secs(hours * 3600) })
        };
        assert_eq!(token(&[]).unwrap(), None);
        assert_eq!(token(&["token", "--agent", "nancy"]).unwrap(), wish(Some("nancy"), 8));
        assert_eq!(token(&["token", "--operator", "--ttl", "1h"]).unwrap(), wish(None, 1));
        for wrong in [&["token"][..], &["token", "--operator", "--agent", "nancy"]] {
            assert!(matches!(token(wrong), Err(SettingError::CommandLine(_))), "{wrong:?}");
        }
        for ttl in ["soon", "0s", "800h"] {
            let error = token(&["token", "--operator", "--ttl", ttl]).unwrap_err().to_string();
            assert!(error.starts_with("ttl (from --ttl) must be a time") && error.contains(ttl), "{error}");
        }
        for args in [["--jwt-key", "k", "token", "--operator"], ["token", "--operator", "--jwt-key", "k"]] {
            assert_eq!(resolve(&args, &[]).unwrap().get("jwt-key"), Some("k"));
        }
    }

    #[test]
    fn passwords_are_masked() {
        let settings = resolve(&["--store", "postgres://nancy:secret@localhost/db"], &[]).unwrap();
        assert!(settings.print().contains("postgres://nancy:***@localhost/db"));
    }
}
