//! What the demo says of itself, and what of it must hold.

use serde::Deserialize;

/// How many orders the demo of `ci` submits.
pub(super) const ORDERS: u64 = 12;

#[derive(Debug, Deserialize)]
struct Verdict {
    orders_wanted: u64,
    effects_applied: u64,
    completed: u64,
    duplicates: u64,
    lost: u64,
    phantoms: u64,
    event_holes: u64,
}

/// Nothing twice, nothing lost, nothing from nowhere; and that it did something at all.
pub(super) fn judge(output: &str) -> Result<(), String> {
    let line = output.lines().rev().find(|line| !line.trim().is_empty());
    let line = line.ok_or("printed no verdict")?;
    let verdict: Verdict =
        serde_json::from_str(line).map_err(|error| format!("printed no verdict ({error}): {line}"))?;
    let zero = [
        ("duplicates", verdict.duplicates),
        ("lost", verdict.lost),
        ("phantoms", verdict.phantoms),
        ("event_holes", verdict.event_holes),
    ];
    if let Some((what, count)) = zero.into_iter().find(|(_, count)| *count > 0) {
        return Err(format!("{what} is {count}, must be 0: {line}"));
    }
    if verdict.orders_wanted != ORDERS {
        return Err(format!("orders_wanted is {}, must be {ORDERS}: {line}", verdict.orders_wanted));
    }
    if verdict.completed == 0 || verdict.effects_applied < verdict.completed {
        return Err(format!("completed must be at least 1 and at most effects_applied: {line}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with(field: &str, value: u64) -> String {
        let mut verdict = json!({
            "orders_wanted": ORDERS, "effects_applied": ORDERS, "completed": ORDERS, "duplicates": 0,
            "lost": 0, "phantoms": 0, "event_holes": 0, "driver": "chromium", "store": "sqlite",
        });
        verdict[field] = Value::from(value);
        format!("something else\n{verdict}\n")
    }

    #[test]
    fn a_clean_run_passes() {
        assert_eq!(judge(&with("probes", 2)), Ok(()));
    }

    #[test]
    fn whatever_must_not_be_is_named() {
        for (field, value) in [
            ("duplicates", 1),
            ("lost", 1),
            ("phantoms", 2),
            ("event_holes", 1),
            ("orders_wanted", 0),
            ("completed", 0),
            ("effects_applied", ORDERS - 1),
        ] {
            let why = judge(&with(field, value)).unwrap_err();
            assert!(why.contains(field), "{why}");
        }
    }

    #[test]
    fn silence_and_noise_are_no_verdict() {
        assert_eq!(judge("\n"), Err("printed no verdict".to_owned()));
        assert!(judge("all good").unwrap_err().starts_with("printed no verdict ("));
        assert!(judge("{}").unwrap_err().contains("orders_wanted"));
    }
}
