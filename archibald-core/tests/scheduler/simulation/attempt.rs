//! One attempt under one lease: the protocol of the effects as a driver follows it, one message at a time.

use std::time::Duration;

use archibald_core::effect::{IntentBasis, IntentRequest};
use archibald_core::id::{AgentId, EffectName, FencingToken, OperationId};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, OperationState, Step};
use archibald_core::record::{Disposition, OperationRecord, YieldReason};
use archibald_core::scheduler::{Input, Refusal};
use archibald_core::time::Timestamp;
use serde_json::json;

use super::Mutant;
use super::erp::receipt;
use super::handing_on::Guess;
use super::messages::{Address, Call, Happening, Note, Reply, Seen, Write};
use super::world::{BUDGET, MARGIN, SETTLE, TTL, World};

const MAX_ATTEMPTS: u32 = 3;

pub(crate) struct Attempt {
    pub(crate) lease: Lease,
    pub(crate) record: OperationRecord,
    /// From then on it does nothing more: its own clock, counted from before it asked.
    pub(crate) deadline: Timestamp,
    pub(crate) give_way: bool,
    /// It only waits for its end to be written.
    pub(crate) settling: bool,
    /// What the agent is to be handed on to with that.
    pub(crate) guess: Option<Guess>,
    /// The last moment for the request, counted from before the gate was asked.
    act_until: Timestamp,
    pages: u64,
    /// How it ends once the answer is noted.
    ends: Option<Disposition>,
}

pub(crate) fn effect() -> EffectName {
    EffectName::new("save-order").unwrap()
}

/// Pages that a sync reads; an operation without any has an effect.
fn pages_of(record: &OperationRecord) -> u64 {
    let all = record.operation.payload["pages"].as_u64().unwrap_or(0);
    let read = record.operation.checkpoint.as_ref().and_then(|page| page.as_u64()).unwrap_or(0);
    all.saturating_sub(read)
}

impl World {
    pub(crate) fn lease_answered(
        &mut self,
        to: Address,
        agent: AgentId,
        operation: OperationId,
        asked_at: Timestamp,
        answer: Result<(Lease, OperationRecord), Refusal>,
    ) -> Result<(), String> {
        let (lease, record) = match answer {
            Ok(leased) => leased,
            Err(reason) => {
                self.seen(match reason {
                    Refusal::Gone => "refused: gone",
                    Refusal::NotDue { .. } => "refused: not due",
                    Refusal::AgentHeld { .. } => "refused: held",
                    Refusal::TargetBusy { .. } => "refused: target busy",
                    Refusal::Paused { .. } => "refused: paused",
                    Refusal::Unavailable { .. } => "refused: unavailable",
                });
                if self.mutant == Some(Mutant::LoseRefusals) {
                    return Ok(());
                }
                return self.input(to, Input::LeaseRefused { agent, operation, reason });
            }
        };
        self.begin_attempt(to, lease, record, asked_at + TTL - MARGIN)
    }

    pub(crate) fn begin_attempt(
        &mut self,
        to: Address,
        lease: Lease,
        record: OperationRecord,
        deadline: Timestamp,
    ) -> Result<(), String> {
        let (agent, operation) = (lease.agent.clone(), lease.operation);
        let asked = self.workers[to.worker].scheduler.counts().starting.get(&agent).copied();
        if asked != Some(operation) {
            return Err(format!("{operation} of {agent} begins, asked for was {asked:?}"));
        }
        let OperationState::Running { step, .. } = record.operation.state else {
            return Err("a lease of what does not run".into());
        };
        let is_old = self.age_at_its_start(to, &agent, operation) >= self.config.protect_after_age;
        if is_old && record.operation.class == Class::Background {
            self.seen("protected by its age");
        }
        let (token, pages) = (lease.token, pages_of(&record));
        let attempt = Attempt {
            lease,
            record,
            deadline,
            give_way: false,
            settling: false,
            guess: None,
            act_until: Timestamp::EPOCH,
            pages,
            ends: None,
        };
        self.workers[to.worker].attempts.insert(agent.clone(), attempt);
        self.input(to, Input::Leased { agent: agent.clone(), operation })?;
        match step {
            Step::Act => self.look(to, &agent, token),
            Step::Probe if self.mutant == Some(Mutant::SkipProbes) => self.intend(to, &agent, token)?,
            Step::Probe => self.probe(to, &agent, token),
            Step::Commit => {
                self.seen("commit of a recorded effect");
                self.settle(to, &agent, token, complete(operation))?;
            }
        }
        Ok(())
    }

    /// A write was answered.
    pub(crate) fn written(
        &mut self,
        to: Address,
        agent: &AgentId,
        token: FencingToken,
        reply: Reply,
    ) -> Result<(), String> {
        if let Reply::Settled(record, next) = reply {
            return self.settled(to, token, &record, next.map(|next| *next));
        }
        let operation = match self.live(to, agent, token)? {
            Some(attempt) => attempt.lease.operation,
            None => return Ok(()),
        };
        match reply {
            Reply::Superseded => {
                self.seen("write refused: superseded");
                self.lose(to, agent, token)
            }
            Reply::Settled(..) => Ok(()),
            Reply::Intended(intent) => {
                self.input(to, Input::EffectOpen { agent: agent.clone(), operation })?;
                let act_until = self.now + BUDGET;
                if let Some(attempt) = self.live(to, agent, token)? {
                    attempt.act_until = act_until;
                }
                self.write(to, agent, token, Write::Release(intent))
            }
            Reply::Released => self.send(to, agent, token),
            Reply::Done => self.after_a_note(to, agent, token),
            Reply::TooShort => self.retry(to, agent, token, "the lease is too short"),
            Reply::Unavailable(Some(write)) => {
                if self.believes(to, agent, &write)? {
                    return Ok(());
                }
                let delay = self.chance.millis(100..600);
                let note = Note::WriteAgain(agent.clone(), token, write);
                self.after(delay, Happening::AtWorker(to, note));
                Ok(())
            }
            Reply::Unavailable(None) => self.retry(to, agent, token, "the store is unavailable"),
        }
    }

    pub(crate) fn write_again(
        &mut self,
        to: Address,
        agent: &AgentId,
        token: FencingToken,
        write: Write,
    ) -> Result<(), String> {
        match self.live(to, agent, token)? {
            Some(_) => self.write(to, agent, token, write),
            None => Ok(()),
        }
    }

    /// A page was answered, or was not in time.
    pub(crate) fn looked(
        &mut self,
        to: Address,
        agent: &AgentId,
        token: FencingToken,
        seen: Seen,
    ) -> Result<(), String> {
        let Some(attempt) = self.live(to, agent, token)? else { return Ok(()) };
        let (id, gives_way) = (attempt.lease.operation, attempt.give_way);
        match seen {
            Seen::Page if gives_way => {
                let why = self.reason_to_yield(to);
                self.settle(to, agent, token, Disposition::Yield { after: Duration::ZERO, why })
            }
            Seen::Page => self.next_page(to, agent, token),
            Seen::Done => self.write(to, agent, token, Write::Record(receipt(id))),
            Seen::Refused => {
                let refused = Some(effect());
                let end = Disposition::Reject { why: "unknown customer".into(), refused };
                self.end_with_a_note(to, agent, token, end)
            }
            Seen::Error { whole: true } if self.mutant == Some(Mutant::TakeErrorsForDone) => {
                self.write(to, agent, token, Write::Record(receipt(id)))
            }
            Seen::Error { whole: true } if self.mutant == Some(Mutant::TakeErrorsForRefusals) => {
                let end = Disposition::Reject { why: "500".into(), refused: Some(effect()) };
                self.end_with_a_note(to, agent, token, end)
            }
            Seen::Error { whole: true } => {
                let end = Disposition::Retry { after: self.chance.millis(50..900), why: "500".into() };
                self.end_with_a_note(to, agent, token, end)
            }
            Seen::Error { whole: false } => {
                let after = self.chance.millis(50..900);
                self.settle(to, agent, token, Disposition::Retry { after, why: "no answer".into() })
            }
            Seen::Maintenance => {
                self.seen("prober not healthy");
                let after = self.chance.millis(100..2_000);
                let why = YieldReason::Unhealthy("maintenance".into());
                self.settle(to, agent, token, Disposition::Yield { after, why })
            }
            Seen::Probe { unclear: true, .. } => {
                self.seen("doubt");
                self.settle(to, agent, token, Disposition::Doubt { evidence: "two bearers".into() })
            }
            Seen::Probe { found: Some(receipt), .. } => {
                self.seen("probe found it");
                self.write(to, agent, token, Write::Record(receipt))
            }
            Seen::Probe { found: None, began, .. } => self.absent(to, agent, token, began),
        }
    }

    /// Absence counts only after the settle time.
    fn absent(
        &mut self,
        to: Address,
        agent: &AgentId,
        token: FencingToken,
        began: Timestamp,
    ) -> Result<(), String> {
        let Some(attempt) = self.live(to, agent, token)? else { return Ok(()) };
        let settled_at = attempt.record.effects.iter().filter_map(|effect| SETTLE.over_at(effect)).max();
        match settled_at.filter(|at| *at > began && self.mutant != Some(Mutant::BelieveAbsenceAtOnce)) {
            Some(at) => {
                self.seen("absent, and not settled yet");
                let why = YieldReason::Settling;
                self.settle(to, agent, token, Disposition::Yield { after: at.since(self.now), why })
            }
            None => {
                self.seen("acted again after a probe");
                self.intend(to, agent, token)
            }
        }
    }

    /// The attempt is the agent's no more: stop at once, write nothing.
    pub(crate) fn lose(&mut self, to: Address, agent: &AgentId, token: FencingToken) -> Result<(), String> {
        let attempts = &mut self.workers[to.worker].attempts;
        let Some(attempt) = attempts.get(agent).filter(|attempt| attempt.lease.token == token) else {
            return Ok(());
        };
        let (ended, guess) = (attempt.lease.clone(), attempt.guess);
        attempts.remove(agent);
        if self.mutant == Some(Mutant::LoseLostAttempts) {
            return Ok(());
        }
        match guess {
            Some(Guess { next, .. }) => {
                self.call(to, Call::Followed { ended, next });
                Ok(())
            }
            None => {
                let (agent, operation) = (ended.agent, ended.operation);
                self.input(to, Input::Settled { agent, operation, next: None })
            }
        }
    }

    /// The attempt, if it may still do something; every step asks.
    fn live(
        &mut self,
        to: Address,
        agent: &AgentId,
        token: FencingToken,
    ) -> Result<Option<&mut Attempt>, String> {
        let attempt = self.workers[to.worker].attempts.get(agent);
        let Some(attempt) = attempt.filter(|attempt| attempt.lease.token == token) else { return Ok(None) };
        if self.is_over(attempt) {
            self.seen("stopped at its own deadline");
            self.lose(to, agent, token)?;
            return Ok(None);
        }
        Ok(self.workers[to.worker].attempts.get_mut(agent))
    }

    /// By its own clock; the canary does not look at it.
    pub(crate) fn is_over(&self, attempt: &Attempt) -> bool {
        attempt.deadline <= self.now && self.mutant != Some(Mutant::IgnoreDeadlines)
    }

    /// Prepares, or reads the next page of a sync: safe to give way afterwards.
    fn look(&mut self, to: Address, agent: &AgentId, token: FencingToken) {
        let delay = self.chance.millis(50..900);
        self.after(delay, Happening::AtWorker(to, Note::Seen(agent.clone(), token, Seen::Page)));
    }

    fn next_page(&mut self, to: Address, agent: &AgentId, token: FencingToken) -> Result<(), String> {
        let down = self.chance.happens(self.rates.maintenance);
        let Some(attempt) = self.live(to, agent, token)? else { return Ok(()) };
        let (id, writes) = (attempt.lease.operation, attempt.record.operation.payload["pages"].is_null());
        if down {
            return self.retry(to, agent, token, "maintenance");
        }
        if writes {
            return self.intend(to, agent, token);
        }
        let Some(pages) = attempt.pages.checked_sub(1) else {
            return self.settle(to, agent, token, complete(id));
        };
        attempt.pages = pages;
        let page = attempt.record.operation.payload["pages"].as_u64().unwrap_or(0) - pages;
        self.write(to, agent, token, Write::Checkpoint(page))
    }

    fn probe(&mut self, to: Address, agent: &AgentId, token: FencingToken) {
        self.seen("probe");
        let (began, agent) = (self.now, agent.clone());
        let delay = self.chance.millis(50..600);
        self.after(delay, Happening::Read { to, agent, token, began });
    }

    fn intend(&mut self, to: Address, agent: &AgentId, token: FencingToken) -> Result<(), String> {
        let Some(attempt) = self.live(to, agent, token)? else { return Ok(()) };
        let OperationState::Running { step, .. } = attempt.record.operation.state else { return Ok(()) };
        let basis = match step {
            Step::Act | Step::Commit => IntentBasis::NothingReleased,
            Step::Probe => IntentBasis::ProbedAbsent,
        };
        let request = IntentRequest {
            effect: effect(),
            basis,
            mark: None,
            baseline: json!(null),
            budget: BUDGET,
            margin: MARGIN,
        };
        self.write(to, agent, token, Write::Intend(request))
    }

    /// The gate is open: the request leaves at once, or never.
    fn send(&mut self, to: Address, agent: &AgentId, token: FencingToken) -> Result<(), String> {
        let Some(attempt) = self.live(to, agent, token)? else { return Ok(()) };
        let (operation, act_until) = (attempt.lease.operation, attempt.act_until);
        let refuses = attempt.record.operation.payload["bad"] == json!(true);
        if self.now >= act_until && self.mutant != Some(Mutant::SendTooLate) {
            self.seen("released too late to send");
            return self.retry(to, agent, token, "the budget is spent");
        }
        self.may_leave(operation)?;
        let (way, answer) = self.chance_of_the_request(refuses);
        let soon = self.now + self.chance.millis(20..700);
        let late = self.now + self.chance.millis(2_000..3_500);
        let list_lag = match self.chance.happens(self.rates.stale_list) {
            true => self.chance.millis(100..900),
            false => Duration::ZERO,
        };
        let applied = match way {
            Way::Nothing => soon,
            Way::Applied => soon,
            Way::Late => late,
        };
        if !matches!(way, Way::Nothing) {
            self.at(applied, Happening::Applied { operation, list_lag });
        }
        let answered = match answer {
            Seen::Error { whole: false } => act_until,
            _ => soon + self.chance.millis(5..200),
        };
        self.at(answered, Happening::AtWorker(to, Note::Seen(agent.clone(), token, answer)));
        Ok(())
    }

    fn chance_of_the_request(&mut self, refuses: bool) -> (Way, Seen) {
        let rates = self.rates.clone();
        if self.chance.happens(rates.fail_before) {
            (Way::Nothing, Seen::Error { whole: true })
        } else if refuses {
            self.seen("refused by the ERP");
            (Way::Nothing, Seen::Refused)
        } else if self.chance.happens(rates.fail_after) {
            (Way::Applied, Seen::Error { whole: true })
        } else if self.chance.happens(rates.drop_after) {
            self.seen("answer lost at the ERP");
            (Way::Applied, Seen::Error { whole: false })
        } else if self.chance.happens(rates.late) {
            self.seen("applied after everybody gave up");
            (Way::Late, Seen::Error { whole: false })
        } else {
            (Way::Applied, Seen::Done)
        }
    }

    fn end_with_a_note(
        &mut self,
        to: Address,
        agent: &AgentId,
        token: FencingToken,
        end: Disposition,
    ) -> Result<(), String> {
        let Some(attempt) = self.live(to, agent, token)? else { return Ok(()) };
        attempt.ends = Some(end);
        self.write(to, agent, token, Write::Answered)
    }

    /// A note, a page or a receipt is written: what comes next.
    fn after_a_note(&mut self, to: Address, agent: &AgentId, token: FencingToken) -> Result<(), String> {
        let Some(attempt) = self.live(to, agent, token)? else { return Ok(()) };
        let (id, end) = (attempt.lease.operation, attempt.ends.take());
        let reads = !attempt.record.operation.payload["pages"].is_null();
        match end {
            Some(end) => self.settle(to, agent, token, end),
            None if reads => {
                self.look(to, agent, token);
                Ok(())
            }
            None => self.settle(to, agent, token, complete(id)),
        }
    }

    fn reason_to_yield(&mut self, to: Address) -> YieldReason {
        if self.workers[to.worker].draining {
            return YieldReason::Drained;
        }
        self.seen("preempted");
        YieldReason::Preempted
    }

    /// Before anything was sent a spent operation fails; afterwards the journal decides.
    fn retry(&mut self, to: Address, agent: &AgentId, token: FencingToken, why: &str) -> Result<(), String> {
        let Some(attempt) = self.live(to, agent, token)? else { return Ok(()) };
        let spent = attempt.record.operation.attempts + 1 >= MAX_ATTEMPTS;
        let untouched = attempt.act_until == Timestamp::EPOCH && attempt.record.next_step() == Step::Act;
        let after = self.chance.millis(50..900);
        let why = why.to_owned();
        if spent && (untouched || self.mutant == Some(Mutant::FailWhatWasReleased)) {
            self.seen("failed: attempts spent");
            return self.settle(to, agent, token, Disposition::Fail { why, absent: None });
        }
        self.settle(to, agent, token, Disposition::Retry { after, why })
    }

    fn settle(
        &mut self,
        to: Address,
        agent: &AgentId,
        token: FencingToken,
        disposition: Disposition,
    ) -> Result<(), String> {
        let Some(attempt) = self.live(to, agent, token)? else { return Ok(()) };
        attempt.settling = true;
        let operation = attempt.lease.operation;
        let guess = self.guess(to, agent, operation);
        if let Some(attempt) = self.live(to, agent, token)? {
            attempt.guess = guess;
        }
        let write = match guess {
            Some(guess) => Write::HandOn(disposition, guess.next),
            None => Write::Settle(disposition),
        };
        self.write(to, agent, token, write)
    }

    fn write(
        &mut self,
        to: Address,
        agent: &AgentId,
        token: FencingToken,
        write: Write,
    ) -> Result<(), String> {
        if let Some(attempt) = self.live(to, agent, token)? {
            let (agent, lease, write) = (agent.clone(), attempt.lease.clone(), Box::new(write));
            self.call(to, Call::Attempt { agent, lease, write });
        }
        Ok(())
    }
}

/// What becomes of a request at the ERP.
enum Way {
    Nothing,
    Applied,
    Late,
}

fn complete(operation: OperationId) -> Disposition {
    Disposition::Complete { result: receipt(operation).0 }
}
