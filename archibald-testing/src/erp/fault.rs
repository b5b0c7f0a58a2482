//! What may go wrong, and when: by script, or by chance that a seed decides.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::{Dice, mix};

/// No more faults than this in a row for one user: work must be able to end.
const IN_A_ROW: u32 = 2;
/// Rates count in millionths.
const CERTAIN: u64 = 1_000_000;

/// A fault, as the client sees it and as it is at the ERP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// 500; nothing happened.
    FailBefore,
    /// 500; the effect was applied.
    FailAfter,
    /// The connection closes without a byte of answer; the effect was applied.
    DropAfter,
    /// No answer until the client gives up; the effect was applied.
    HangAfter,
    /// No answer until the client gives up; the effect is applied after that.
    Late,
    /// Redirect to the login page; nothing happened.
    Expire,
    /// The answer comes late; the effect was applied.
    Slow,
    /// Validation message; nothing happened.
    Reject,
    /// 503, for a while; nothing happened.
    Maintenance,
    /// 500 or success; the header was saved, the lines were lost.
    Half,
    /// Success; saved with other values.
    Altered,
    /// The page asks whether a similar order is meant; saved only if that is confirmed.
    Similar,
    /// Redirect to the login page, since the same user logged in elsewhere; nothing happened.
    Kick,
    /// The answer, and only the next request is sent to the login page: the same user logged in elsewhere just
    /// after this one.
    KickNext,
    /// 500 "validation of view state MAC failed": sessions and view state keys are gone; nothing happened.
    Recycle,
    /// The answer breaks off in its body; the effect was applied.
    Truncate,
    /// Success, but lists lack the row for a while.
    StaleList,
}

/// What a write does; some faults make sense only for some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteKind {
    NewOrder,
    /// New, after the question whether a similar one was meant.
    ConfirmedOrder,
    ChangedOrder,
    DeletedOrder,
    SentOrder,
    NewCustomer,
    ChangedCustomer,
}

/// How often which fault is drawn at writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultSpec {
    /// Fault and its rate in millionths of all writes.
    rates: Vec<(Fault, u64)>,
    /// At least one fault in every five writes that follow each other.
    every_fifth: bool,
}

/// A fault told in advance: it strikes the requests that fit, from the `nth` on, `times` times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Page, for example `Order.aspx`; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// Control, in full (`ctl00$Main$Save`) or its last part (`Save`); `GET` for page loads. Absent: any write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// User name; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The first fitting request that is struck, counted from 1.
    #[serde(default = "one")]
    pub nth: u32,
    /// What strikes it; a fault that makes no sense for a request lets it through, see [`Fault::ALL`].
    pub fault: Fault,
    /// How many fitting requests in a row are struck.
    #[serde(default = "one")]
    pub times: u32,
}

/// A specification of faults that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultSpecError {
    /// Neither a word nor `name=rate`.
    #[error("fault spec: {0:?} is none of none, some, heavy or name=rate,…")]
    Shape(String),
    /// No fault of that name.
    #[error("fault spec: there is no fault {0:?}; there are {names}", names = names())]
    Name(String),
    /// A rate that is no number from 0 to 1.
    #[error("fault spec: the rate {rate:?} of {fault} is not a number from 0 to 1")]
    Rate {
        /// The fault.
        fault: Fault,
        /// The text in its rate's place.
        rate: String,
    },
    /// Rates that sum to more than certainty.
    #[error("fault spec: the rates sum to more than 1")]
    Sum,
}

impl Fault {
    /// All of them.
    ///
    /// `half` and `altered` make sense where something is saved, `similar` where an order is, `stale-list` where
    /// something is new, `reject` at postbacks; the others strike any request.
    pub const ALL: [Self; 17] = [
        Self::FailBefore,
        Self::FailAfter,
        Self::DropAfter,
        Self::HangAfter,
        Self::Late,
        Self::Expire,
        Self::Slow,
        Self::Reject,
        Self::Maintenance,
        Self::Half,
        Self::Altered,
        Self::Similar,
        Self::Kick,
        Self::KickNext,
        Self::Recycle,
        Self::Truncate,
        Self::StaleList,
    ];

    /// Those that `some` draws from.
    pub const BASIC: [Self; 6] =
        [Self::FailBefore, Self::FailAfter, Self::DropAfter, Self::Expire, Self::Slow, Self::Reject];

    /// The name as specifications and reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::FailBefore => "fail-before",
            Self::FailAfter => "fail-after",
            Self::DropAfter => "drop-after",
            Self::HangAfter => "hang-after",
            Self::Late => "late",
            Self::Expire => "expire",
            Self::Slow => "slow",
            Self::Reject => "reject",
            Self::Maintenance => "maintenance",
            Self::Half => "half",
            Self::Altered => "altered",
            Self::Similar => "similar",
            Self::Kick => "kick",
            Self::KickNext => "kick-next",
            Self::Recycle => "recycle",
            Self::Truncate => "truncate",
            Self::StaleList => "stale-list",
        }
    }

    /// Whether it makes sense for a request.
    fn suits(self, target: Target<'_>) -> bool {
        use WriteKind::{ChangedOrder, ConfirmedOrder, DeletedOrder, NewCustomer, NewOrder, SentOrder};
        match self {
            Self::Half | Self::Altered => {
                target.write.is_some_and(|write| !matches!(write, DeletedOrder | SentOrder))
            }
            Self::StaleList => matches!(target.write, Some(NewOrder | ConfirmedOrder | NewCustomer)),
            Self::Similar => matches!(target.write, Some(NewOrder | ChangedOrder)),
            Self::Reject => target.control != "GET",
            _ => true,
        }
    }
}

impl FaultSpec {
    /// No faults by chance.
    pub fn none() -> Self {
        Self::default()
    }

    /// The six of [`Fault::BASIC`], a quarter of all writes together, never five clean writes in a row.
    pub fn some() -> Self {
        Self { rates: Fault::BASIC.iter().map(|f| (*f, 250_000 / 6)).collect(), every_fifth: true }
    }

    /// Every fault, half of all writes together, never five clean writes in a row.
    pub fn heavy() -> Self {
        Self {
            rates: Fault::ALL.iter().map(|f| (*f, 500_000 / Fault::ALL.len() as u64)).collect(),
            every_fifth: true,
        }
    }
}

/// Decides for each request whether it is struck.
#[derive(Debug)]
pub(crate) struct FaultDesk {
    seed: u64,
    spec: FaultSpec,
    rules: Vec<(FaultRule, u32)>,
    writes: u64,
    clean: u32,
    in_a_row: BTreeMap<String, u32>,
}

/// A request, as far as faults care.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) page: &'a str,
    /// `GET` for page loads.
    pub(crate) control: &'a str,
    pub(crate) user: &'a str,
    /// What it writes, if it does.
    pub(crate) write: Option<WriteKind>,
}

impl FaultDesk {
    pub(crate) fn new(seed: u64, spec: FaultSpec) -> Self {
        Self { seed, spec, rules: Vec::new(), writes: 0, clean: 0, in_a_row: BTreeMap::new() }
    }

    pub(crate) fn script(&mut self, rules: Vec<FaultRule>) {
        self.rules.extend(rules.into_iter().map(|rule| (rule, 0)));
    }

    pub(crate) fn respecify(&mut self, spec: FaultSpec) {
        self.spec = spec;
    }

    /// No more faults, neither by script nor by chance.
    pub(crate) fn clear(&mut self) {
        self.rules.clear();
        self.spec = FaultSpec::none();
    }

    /// The fault that strikes this request. What chance says depends on nothing but the seed, the writes so far
    /// and whose they were.
    pub(crate) fn draw(&mut self, target: Target<'_>) -> Option<Fault> {
        let told = self.told(target).filter(|fault| fault.suits(target));
        if target.write.is_none() {
            return told;
        }
        let fault = told.or_else(|| self.chance(target));
        self.writes += 1;
        let row = self.in_a_row.entry(target.user.to_owned()).or_default();
        (self.clean, *row) = if fault.is_some() { (0, *row + 1) } else { (self.clean + 1, 0) };
        fault
    }

    fn told(&mut self, target: Target<'_>) -> Option<Fault> {
        let mut struck = None;
        for (rule, seen) in self.rules.iter_mut().filter(|(rule, _)| rule.fits(target)) {
            *seen += 1;
            let from = rule.nth.max(1);
            if struck.is_none() && (from..from.saturating_add(rule.times)).contains(seen) {
                struck = Some(rule.fault);
            }
        }
        struck
    }

    fn chance(&self, target: Target<'_>) -> Option<Fault> {
        if self.in_a_row.get(target.user).copied().unwrap_or(0) >= IN_A_ROW {
            return None;
        }
        let mut dice = Dice::new(mix(self.seed, self.writes));
        // An ERP that alters every change as well cannot be brought right by one.
        let alters = |fault: Fault| matches!(fault, Fault::Altered | Fault::Half);
        let repairs = target.write == Some(WriteKind::ChangedOrder);
        let suits = |fault: Fault| fault.suits(target) && !(repairs && alters(fault));
        let suited = || self.spec.rates.iter().filter(|(fault, _)| suits(*fault));
        let sum: u64 = suited().map(|(_, rate)| rate).sum();
        let due = self.spec.every_fifth && self.clean >= 4;
        let mut roll = dice.below(if due { sum.max(1) } else { CERTAIN });
        for (fault, rate) in suited() {
            if roll < *rate {
                return Some(*fault);
            }
            roll -= rate;
        }
        None
    }
}

impl FaultRule {
    /// Strikes the next request that fits `page` and `control`, once.
    pub fn next(page: &str, control: &str, fault: Fault) -> Self {
        Self {
            page: Some(page.to_owned()),
            control: Some(control.to_owned()),
            user: None,
            nth: 1,
            fault,
            times: 1,
        }
    }

    fn fits(&self, target: Target<'_>) -> bool {
        let fits =
            |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w.eq_ignore_ascii_case(is));
        let control = match &self.control {
            None => target.write.is_some(),
            Some(wanted) => wanted == target.control || target.control.rsplit('$').next() == Some(wanted),
        };
        control && fits(&self.page, target.page) && fits(&self.user, target.user)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = FaultSpecError;
    fn from_str(name: &str) -> Result<Self, FaultSpecError> {
        let found = Self::ALL.into_iter().find(|fault| fault.name() == name);
        found.ok_or_else(|| FaultSpecError::Name(name.to_owned()))
    }
}

impl FromStr for FaultSpec {
    type Err = FaultSpecError;
    fn from_str(spec: &str) -> Result<Self, FaultSpecError> {
        match spec.trim() {
            "none" => return Ok(Self::none()),
            "some" => return Ok(Self::some()),
            "heavy" => return Ok(Self::heavy()),
            _ => {}
        }
        let rates = spec.split(',').map(|part| rate(part.trim())).collect::<Result<Vec<_>, _>>()?;
        if rates.iter().map(|(_, rate)| rate).sum::<u64>() > CERTAIN {
            return Err(FaultSpecError::Sum);
        }
        Ok(Self { rates, every_fifth: false })
    }
}

fn rate(part: &str) -> Result<(Fault, u64), FaultSpecError> {
    let (name, text) = part.split_once('=').ok_or_else(|| FaultSpecError::Shape(part.to_owned()))?;
    let fault: Fault = name.trim().parse()?;
    let rate: f64 = text.trim().parse().unwrap_or(f64::NAN);
    if !(0.0..=1.0).contains(&rate) {
        return Err(FaultSpecError::Rate { fault, rate: text.trim().to_owned() });
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..=1,000,000")]
    let millionths = (rate * CERTAIN as f64).round() as u64;
    Ok((fault, millionths))
}

fn names() -> String {
    Fault::ALL.map(Fault::name).join(", ")
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(user: &str) -> Target<'_> {
        Target { page: "Order.aspx", control: "ctl00$Main$Save", user, write: Some(WriteKind::NewOrder) }
    }

    fn drawn(spec: &str, seed: u64, writes: usize) -> Vec<Option<Fault>> {
        let mut desk = FaultDesk::new(seed, spec.parse().unwrap());
        (0..writes).map(|n| desk.draw(save(["nancy", "anne", "laura"][n % 3]))).collect()
    }

    #[test]
    fn some_strikes_at_least_one_in_every_fifth_write() {
        for seed in 0..50 {
            let drawn = drawn("some", seed, 200);
            assert!(drawn.windows(5).all(|five| five.iter().any(Option::is_some)), "seed {seed}");
            assert!(drawn.iter().flatten().all(|fault| Fault::BASIC.contains(fault)));
        }
    }

    #[test]
    fn no_user_meets_more_than_two_in_a_row() {
        let mut desk = FaultDesk::new(1, "fail-before=1".parse().unwrap());
        let drawn: Vec<bool> = (0..7).map(|_| desk.draw(save("nancy")).is_some()).collect();
        assert_eq!(drawn, [true, true, false, true, true, false, true]);
    }

    #[test]
    fn the_seed_and_the_count_of_writes_decide() {
        assert_eq!(drawn("heavy", 9, 100), drawn("heavy", 9, 100));
        assert_ne!(drawn("heavy", 9, 100), drawn("heavy", 10, 100));
        let all: std::collections::BTreeSet<_> = drawn("heavy", 3, 2000).into_iter().flatten().collect();
        assert_eq!(all.len(), Fault::ALL.len());
    }

    #[test]
    fn a_rule_strikes_from_the_nth_fitting_request_and_only_there() {
        let mut desk = FaultDesk::new(1, FaultSpec::none());
        let rule = FaultRule { nth: 2, times: 2, ..FaultRule::next("order.aspx", "Save", Fault::Slow) };
        desk.script(vec![FaultRule { user: Some("nancy".to_owned()), ..rule }]);
        let harmless = Target { control: "ctl00$Main$AddLine", write: None, ..save("nancy") };
        assert_eq!(desk.draw(harmless), None);
        assert_eq!(desk.draw(save("anne")), None);
        let drawn: Vec<bool> = (0..4).map(|_| desk.draw(save("nancy")).is_some()).collect();
        assert_eq!(drawn, [false, true, true, false]);
    }

    #[test]
    fn a_fault_that_makes_no_sense_lets_the_request_through() {
        let mut desk = FaultDesk::new(1, FaultSpec::none());
        let target = |control, write| Target { page: "Order.aspx", control, user: "nancy", write };
        let rule = |control: &str, fault| FaultRule::next("Order.aspx", control, fault);
        desk.script(vec![rule("Delete", Fault::Half), rule("GET", Fault::Reject), rule("Send", Fault::Late)]);
        assert_eq!(desk.draw(target("ctl00$Main$Delete", Some(WriteKind::DeletedOrder))), None);
        assert_eq!(desk.draw(target("GET", None)), None);
        assert_eq!(desk.draw(target("ctl00$Main$Send", Some(WriteKind::SentOrder))), Some(Fault::Late));
    }

    #[test]
    fn a_bad_spec_says_what_is_wrong() {
        for (spec, text) in [
            ("lots", "none, some, heavy"),
            ("drop=0.1", "there is no fault \"drop\""),
            ("slow=2", "\"2\" of slow"),
            ("slow=NaN", "not a number from 0 to 1"),
            ("slow=0.6,reject=0.6", "more than 1"),
        ] {
            let error = spec.parse::<FaultSpec>().unwrap_err().to_string();
            assert!(error.contains(text), "{spec}: {error}");
        }
    }
}
