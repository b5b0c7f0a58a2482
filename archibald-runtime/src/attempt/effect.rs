//! The effect protocol as an attempt walks it: intend, act, probe, repair, record.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use archibald_core::effect::{
    ActOutcome, EffectRecord, EffectState, Intent, IntentBasis, IntentRequest, NotSent, Receipt, Verdict,
};
use archibald_core::error::FenceError;
use archibald_core::id::EffectName;
use archibald_core::port::CommitGate;
use archibald_core::record::{Disposition, Settlement, YieldReason};
use archibald_core::time::Timestamp;
use serde_json::{Value, json};

use super::{Attempt, Lost, conclude};
use crate::action::{ActionContext, EffectAction, Prepared};
use crate::driver::Message;
use crate::gate::StoreGate;

impl Attempt {
    pub(super) async fn act(
        &self,
        action: &dyn EffectAction,
        context: &ActionContext<'_>,
        basis: IntentBasis,
    ) -> Result<Settlement, Lost> {
        let baseline = match self.journaled(action) {
            Some(baseline) => baseline,
            None => match action.prepare(context).await {
                Ok(Prepared::Act { baseline }) => baseline,
                Ok(Prepared::Nothing(receipt)) => return Ok(self.complete(action, &receipt)),
                Err(interrupted) => return self.interrupted(interrupted),
            },
        };
        if context.should_yield() {
            return Ok(self.gave_way());
        }
        let request = self.request(action, action.effect(), basis, baseline.clone());
        let (intent, gate) = match self.intend(&request).await {
            Ok(allowed) => allowed,
            Err(error) => return self.fenced(error),
        };
        let outcome = self.within_budget(action.act(context, &baseline, intent, gate)).await;
        self.shared.failpoints.at("effect.answered", self.record.operation.id).await;
        match outcome {
            ActOutcome::Refused(why) => self.refused(action, why).await,
            outcome => self.acted(action, &[action.effect()], outcome).await,
        }
    }

    /// What there was before the first act stays the baseline of every later one.
    fn journaled(&self, action: &dyn EffectAction) -> Option<Value> {
        let effect = self.journal(&action.effect())?;
        effect.released_at.map(|_| effect.baseline.clone())
    }

    /// From here on nothing but a lost lease stops the attempt.
    async fn intend(&self, request: &IntentRequest) -> Result<(Intent, Arc<dyn CommitGate>), FenceError> {
        let intent = self.shared.store.intend(self.lease(), request).await?;
        let _ = self.inbox.send(Message::EffectOpen(self.guard.lease.clone()));
        self.shared.failpoints.at("effect.intended", self.record.operation.id).await;
        let gate = Arc::new(StoreGate {
            store: self.shared.store.clone(),
            guard: self.guard.clone(),
            failpoints: self.shared.failpoints.clone(),
        });
        Ok((intent, gate))
    }

    /// What a settled, healthy probe found otherwise is edited, once; what is otherwise after that, a person
    /// decides.
    async fn repair(
        &self,
        action: &dyn EffectAction,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
        (observed, differences): (Receipt, &[String]),
    ) -> Result<Settlement, Lost> {
        let name = EffectRecord::repair_of(&action.effect());
        let baseline = json!({ "observed": observed, "differences": differences });
        if !action.can_repair() || self.was_repaired(&name, &baseline) || self.repairs_are_spent(&name) {
            return Ok(conclude::differs("found otherwise than wanted", &observed, differences));
        }
        let request = self.request(action, name.clone(), IntentBasis::ProbedDifferent, baseline);
        let (intent, gate) = match self.intend(&request).await {
            Ok(allowed) => allowed,
            Err(error) => return self.fenced(error),
        };
        let outcome = self.within_budget(action.repair(context, effect, &observed, intent, gate)).await;
        self.shared.failpoints.at("repair.answered", self.record.operation.id).await;
        match outcome {
            // It was carried out, and that was the one repair: the next probe has only to see it. What the ERP
            // spoils beside what is wanted again and again is its own rule, and left to it.
            ActOutcome::Differs { observed, differences } => {
                if let Err(error) = self.shared.store.answered(self.lease(), &effect.name, &[]).await {
                    return self.fenced(error);
                }
                if let Err(error) = self.shared.store.record(self.lease(), &name, &observed).await {
                    return self.fenced(error);
                }
                Ok(self.failed_attempt(format!("repaired otherwise than wanted: {}", differences.join("; "))))
            }
            outcome => self.acted(action, &[name, action.effect()], outcome).await,
        }
    }

    /// A repair was carried out, or was sent and what is there is not what was there before it.
    fn was_repaired(&self, name: &EffectName, found: &Value) -> bool {
        let repair = self.journal(name);
        repair.is_some_and(|repair| {
            let changed = repair.released_at.is_some() && repair.baseline != *found;
            changed || repair.state == EffectState::Recorded
        })
    }

    /// A repair that did nothing may be sent again, as often as an operation may be tried: what is at the ERP
    /// already is not given up for what it took to find out.
    fn repairs_are_spent(&self, name: &EffectName) -> bool {
        let repair = self.journal(name);
        repair.is_some_and(|repair| repair.acts >= self.action.policy().max_attempts)
    }

    /// The client bounds each page that it types into and the gate the request; this bounds a client that
    /// does not.
    async fn within_budget(&self, act: impl Future<Output = ActOutcome<Receipt>>) -> ActOutcome<Receipt> {
        let config = &self.shared.config;
        let limit = config.typing + config.act_budget + config.lease_margin;
        match tokio::time::timeout(limit, act).await {
            Ok(outcome) => outcome,
            Err(_) => ActOutcome::Ambiguous {
                evidence: format!("the act took longer than {limit:?}"),
                answered: false,
            },
        }
    }

    fn request(
        &self,
        action: &dyn EffectAction,
        effect: EffectName,
        basis: IntentBasis,
        baseline: Value,
    ) -> IntentRequest {
        IntentRequest {
            effect,
            basis,
            mark: action.mark(&self.record.operation),
            baseline,
            budget: self.shared.config.act_budget,
            margin: self.shared.config.lease_margin,
        }
    }

    /// A refusal is a whole answer: should a person redrive it, only lists may lag.
    async fn refused(&self, action: &dyn EffectAction, why: String) -> Result<Settlement, Lost> {
        if let Err(error) = self.shared.store.answered(self.lease(), &action.effect(), &[]).await {
            return self.fenced(error);
        }
        Ok(Disposition::Reject { why, refused: Some(action.effect()) }.into())
    }

    /// `effects` is what the act was of, and then what it completes besides.
    async fn acted(
        &self,
        action: &dyn EffectAction,
        effects: &[EffectName],
        outcome: ActOutcome<Receipt>,
    ) -> Result<Settlement, Lost> {
        match outcome {
            ActOutcome::Done(receipt) => self.found(action, receipt, effects).await,
            ActOutcome::NotSent(NotSent::LeaseLost) => Err(Lost),
            ActOutcome::NotSent(NotSent::SessionExpired) => {
                Ok(self.no_progress(YieldReason::NoSession("the session expired".to_owned())))
            }
            ActOutcome::NotSent(error) => Ok(self.failed_attempt(error.to_string())),
            // Like every answer that is not as wanted: the next attempt probes, once the answer has settled.
            ActOutcome::Differs { differences, .. } => {
                let evidence = format!("saved otherwise than wanted: {}", differences.join("; "));
                self.ambiguous(effects.first(), evidence, Some(&differences)).await
            }
            ActOutcome::Refused(evidence) => self.ambiguous(effects.first(), evidence, Some(&[])).await,
            ActOutcome::Ambiguous { evidence, answered } => {
                self.ambiguous(effects.first(), evidence, answered.then_some(&[])).await
            }
        }
    }

    /// `answer` is what a whole answer read back otherwise than wanted; `None` where there was none.
    async fn ambiguous(
        &self,
        acted: Option<&EffectName>,
        evidence: String,
        answer: Option<&[String]>,
    ) -> Result<Settlement, Lost> {
        if let Some(differences) = answer
            && let Some(effect) = acted
            && let Err(error) = self.shared.store.answered(self.lease(), effect, differences).await
        {
            return self.fenced(error);
        }
        Ok(self.failed_attempt(evidence))
    }

    pub(super) async fn probe(
        &self,
        action: &dyn EffectAction,
        context: &ActionContext<'_>,
    ) -> Result<Settlement, Lost> {
        let Some(effect) = self.journal(&action.effect()) else {
            return self.act(action, context, IntentBasis::NothingReleased).await;
        };
        self.shared.stats.probes.fetch_add(1, Relaxed);
        let verdict = match action.probe(context, effect).await {
            Ok(Verdict::Found(receipt)) if action.found_is_proof(effect) => {
                return self.found(action, receipt, &self.open_effects()).await;
            }
            Ok(verdict) => verdict,
            Err(interrupted) => return self.interrupted(interrupted),
        };
        // Everything else leads to another act or to a person, so it counts only once every request has
        // settled, by when the reading began, and from a prober that is known to read what exists.
        if let Some(over) = self.settles_at().filter(|over| *over > self.store_time) {
            let after = over.since(self.now()).max(Duration::from_millis(10));
            return Ok(Disposition::Yield { after, why: YieldReason::Settling }.into());
        }
        if let Err(error) = context.client.check_health().await {
            return self.interrupted(error.into());
        }
        self.judge(action, context, effect, verdict).await
    }

    /// A verdict that counts.
    async fn judge(
        &self,
        action: &dyn EffectAction,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
        verdict: Verdict<Receipt>,
    ) -> Result<Settlement, Lost> {
        match verdict {
            Verdict::Found(receipt) => self.found(action, receipt, &self.open_effects()).await,
            Verdict::Differs { observed, differences } => {
                self.repair(action, context, effect, (observed, &differences)).await
            }
            Verdict::Unclear(evidence) => Ok(Disposition::Doubt { evidence }.into()),
            Verdict::Forbidden(why) => Ok(Disposition::Reject { why, refused: Some(action.effect()) }.into()),
            Verdict::Absent if self.was_seen(action) => {
                let evidence = "it was found at the ERP before and is gone now".to_owned();
                Ok(Disposition::Doubt { evidence }.into())
            }
            Verdict::Absent if self.attempts_are_spent() => {
                let why = "the attempts are spent, and the ERP does not have it".to_owned();
                Ok(Disposition::Fail { why, absent: Some(action.effect()) }.into())
            }
            Verdict::Absent => self.act(action, context, IntentBasis::ProbedAbsent).await,
        }
    }

    /// A repair was sent, so the effect was there.
    fn was_seen(&self, action: &dyn EffectAction) -> bool {
        self.was_sent(&EffectRecord::repair_of(&action.effect()))
    }

    fn was_sent(&self, name: &EffectName) -> bool {
        self.journal(name).is_some_and(|effect| effect.released_at.is_some())
    }

    /// The journal's entry of an effect.
    fn journal(&self, name: &EffectName) -> Option<&EffectRecord> {
        self.record.effects.iter().find(|effect| effect.name == *name)
    }

    /// Everything that was released and has no receipt, repairs first: while the effect itself is open, the
    /// next attempt begins with a probe.
    fn open_effects(&self) -> Vec<EffectName> {
        let open = self.record.effects.iter().rev().filter(|effect| effect.state == EffectState::Released);
        open.map(|effect| effect.name.clone()).collect()
    }

    fn settles_at(&self) -> Option<Timestamp> {
        let released = self.record.effects.iter().filter(|effect| effect.state == EffectState::Released);
        released.filter_map(|effect| self.shared.config.settle.over_at(effect)).max()
    }

    async fn found(
        &self,
        action: &dyn EffectAction,
        receipt: Receipt,
        effects: &[EffectName],
    ) -> Result<Settlement, Lost> {
        for effect in effects {
            if let Err(error) = self.shared.store.record(self.lease(), effect, &receipt).await {
                return self.fenced(error);
            }
        }
        self.shared.failpoints.at("effect.recorded", self.record.operation.id).await;
        Ok(self.complete(action, &receipt))
    }

    fn complete(&self, action: &dyn EffectAction, receipt: &Receipt) -> Settlement {
        conclude::completed(action.complete(&self.record.operation, receipt))
    }

    pub(super) fn commit(&self, action: &dyn EffectAction) -> Result<Settlement, Lost> {
        let recorded = self.journal(&action.effect());
        match recorded.and_then(|effect| effect.receipt.as_ref()) {
            Some(receipt) => Ok(self.complete(action, receipt)),
            None => {
                Ok(Disposition::Doubt { evidence: "the journal has no receipt to commit".to_owned() }.into())
            }
        }
    }
}
