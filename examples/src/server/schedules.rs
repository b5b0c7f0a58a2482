//! Schedules as the configuration file has them.

use std::collections::BTreeSet;
use std::time::Duration;

use archibald_core::id::{AgentId, OperationKind, ScheduleName};
use archibald_core::schedule::{Cron, Missed, Period, Schedule, Times, Whose};
use serde::Deserialize;
use serde_json::Value;

use super::settings::parse_span;

const SPAN: &str = "a time such as 90s, 10m or 8h";

/// One `[[schedule]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kind: String,
    name: Option<String>,
    cron: Option<String>,
    time_zone: Option<String>,
    every: Option<String>,
    spread: Option<String>,
    missed: Option<String>,
    missed_within: Option<String>,
    agents: Option<Vec<String>>,
    except: Option<Vec<String>>,
    payload: Option<Value>,
}

/// The schedules of a configuration file.
///
/// # Errors
/// Words that name the schedule, its field and what was expected.
pub(super) fn read(value: toml::Value) -> Result<Vec<Schedule>, String> {
    let toml::Value::Array(entries) = value else {
        return Err("schedule must be a list, each one under [[schedule]]".to_owned());
    };
    let each = (1..).zip(entries).map(|(number, entry): (usize, _)| {
        let kind = entry.get("kind").and_then(toml::Value::as_str).unwrap_or("no kind").to_owned();
        let schedule = Entry::deserialize(entry).map_err(|error| error.message().to_owned());
        schedule.and_then(schedule_of).map_err(|what| format!("schedule {number} ({kind}): {what}"))
    });
    each.collect()
}

/// One line, for people.
pub(super) fn describe(schedule: &Schedule) -> String {
    let times = match &schedule.times {
        Times::Cron(cron) => format!("at {cron}"),
        Times::Every(period) => format!("every {:?}", period.length()),
    };
    let missed = match schedule.missed {
        Missed::Skip => "skipped".to_owned(),
        Missed::Once { within } => format!("made up for once within {within:?}"),
    };
    let whose = match &schedule.whose {
        Whose::Everyone => "for everyone".to_owned(),
        Whose::Only(agents) => format!("for {}", names(agents)),
        Whose::AllBut(agents) => format!("for all but {}", names(agents)),
    };
    let Schedule { kind, spread, .. } = schedule;
    format!("{kind} {times}, spread over {spread:?}, what is missed {missed}, {whose}")
}

fn names(agents: &BTreeSet<AgentId>) -> String {
    agents.iter().map(AgentId::as_str).collect::<Vec<_>>().join(", ")
}

fn schedule_of(entry: Entry) -> Result<Schedule, String> {
    let times = times(&entry)?;
    let kind = OperationKind::new(&entry.kind).map_err(|error| error.to_string())?;
    let plain = Schedule::of(kind, times);
    let name = match &entry.name {
        Some(name) => {
            ScheduleName::new(name).map_err(|error| error.to_string().replacen("schedule", "name", 1))?
        }
        None => plain.name.clone(),
    };
    let spread = entry.spread.as_deref().map(|text| span("spread", text)).transpose()?;
    Ok(Schedule {
        name,
        payload: entry.payload.clone().unwrap_or_else(|| plain.payload.clone()),
        spread: spread.unwrap_or(plain.spread),
        missed: missed(&entry, plain.missed)?,
        whose: whose(&entry)?,
        ..plain
    })
}

fn times(entry: &Entry) -> Result<Times, String> {
    match (&entry.cron, &entry.every, &entry.time_zone) {
        (Some(cron), None, zone) => {
            let cron = Cron::new(cron, zone.as_deref().unwrap_or("UTC"));
            let field = |error: &_| match error {
                archibald_core::schedule::CronError::Zone(_) => "time_zone",
                _ => "cron",
            };
            cron.map(Times::Cron).map_err(|error| format!("{} {error}", field(&error)))
        }
        (None, Some(every), None) => {
            let period = Period::new(span("every", every)?);
            period.map(Times::Every).map_err(|error| format!("every: {error}"))
        }
        (None, Some(_), Some(_)) => Err("time_zone must go with cron: a period has none".to_owned()),
        _ => Err("there must be either cron or every".to_owned()),
    }
}

fn missed(entry: &Entry, usual: Missed) -> Result<Missed, String> {
    let within = entry.missed_within.as_deref().map(|text| span("missed_within", text)).transpose()?;
    match (entry.missed.as_deref(), within) {
        (Some("skip"), None) => Ok(Missed::Skip),
        (Some("skip"), Some(_)) => Err("missed_within must go with missed = \"once\"".to_owned()),
        (Some("once") | None, Some(within)) => Ok(Missed::Once { within }),
        (Some("once") | None, None) => Ok(usual),
        (Some(other), _) => Err(format!("missed must be skip or once, got {other:?}")),
    }
}

fn whose(entry: &Entry) -> Result<Whose, String> {
    let ids = |field: &str, names: &[String]| {
        let ids: Result<BTreeSet<_>, _> = names.iter().map(AgentId::new).collect();
        ids.map_err(|error| format!("{field}: {error}"))
    };
    match (&entry.agents, &entry.except) {
        (None, None) => Ok(Whose::Everyone),
        (Some(agents), None) => ids("agents", agents).map(Whose::Only),
        (None, Some(agents)) => ids("except", agents).map(Whose::AllBut),
        (Some(_), Some(_)) => Err("there must not be both agents and except".to_owned()),
    }
}

fn span(field: &str, text: &str) -> Result<Duration, String> {
    parse_span(text).ok_or_else(|| format!("{field} must be {SPAN}, got {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Schedule>, String> {
        let mut table: toml::Table = text.parse().unwrap();
        read(table.remove("schedule").unwrap())
    }

    #[test]
    fn what_a_file_says_is_what_holds() {
        let text = "
            [[schedule]]
            kind = \"sync-orders\"
            cron = \"*/15 6-20 * * 1-5\"
            time_zone = \"Europe/Rome\"
            spread = \"5m\"
            missed = \"once\"
            missed_within = \"2h\"
            except = [\"nancy\"]
            [[schedule]]
            name = \"often\"
            kind = \"sync-prices\"
            every = \"30m\"
            missed = \"skip\"
            agents = [\"nancy\", \"andrew\"]
        ";
        let lines: Vec<_> = read_text(text).unwrap().iter().map(describe).collect();
        assert_eq!(
            lines,
            [
                "sync-orders at */15 6-20 * * 1-5 Europe/Rome, spread over 300s, what is missed made up for once \
                 within 7200s, for all but nancy",
                "sync-prices every 1800s, spread over 600s, what is missed skipped, for andrew, nancy",
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_schedule_and_field() {
        let error =
            |fields: &str| read_text(&format!("[[schedule]]\nkind = \"sync-orders\"\n{fields}")).unwrap_err();
        for (fields, says) in [
            (
                "cron = \"* * *\"",
                "cron must be five fields of cron such as \"*/15 6-20 * * 1-5\", got \"* * *\"",
            ),
            ("cron = \"0 6 30 2 *\"", "cron must be a time that comes"),
            (
                "cron = \"0 6 * * *\"\ntime_zone = \"Rome\"",
                "time_zone must be a time zone such as \"Europe/Rome\"",
            ),
            ("every = \"soon\"", "every must be a time such as 90s, 10m or 8h, got \"soon\""),
            ("every = \"5s\"", "every: a period must be at least a minute"),
            ("every = \"5m\"\ntime_zone = \"UTC\"", "time_zone must go with cron"),
            ("", "there must be either cron or every"),
            ("every = \"5m\"\ncron = \"0 6 * * *\"", "there must be either cron or every"),
            ("every = \"5m\"\nspread = \"wide\"", "spread must be a time"),
            ("every = \"5m\"\nmissed = \"all\"", "missed must be skip or once, got \"all\""),
            (
                "every = \"5m\"\nmissed = \"skip\"\nmissed_within = \"1h\"",
                "missed_within must go with missed",
            ),
            ("every = \"5m\"\nagents = [\"Nancy\"]", "agents: agent must be 1 to 64 characters"),
            ("every = \"5m\"\nagents = []\nexcept = []", "not be both agents and except"),
            ("every = \"5m\"\nname = \"By Night\"", "name must be 1 to 64 characters"),
            ("every = \"5m\"\ncrn = \"x\"", "unknown field `crn`"),
            ("every = 5", "invalid type: integer `5`, expected a string"),
        ] {
            let said = error(fields);
            assert!(
                said.starts_with("schedule 1 (sync-orders): ") && said.contains(says),
                "{fields}: {said}"
            );
        }
        assert!(read_text("schedule = 7").unwrap_err().contains("[[schedule]]"));
        assert!(
            read_text("[[schedule]]\nevery = \"5m\"")
                .unwrap_err()
                .contains("(no kind): missing field `kind`")
        );
    }
}
