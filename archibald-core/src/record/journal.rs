use super::OperationRecord;
use crate::effect::{
    EffectRecord, EffectState, Intent, IntentBasis, IntentRequest, Receipt, ReleaseRequest, Released,
};
use crate::error::{FenceError, JournalError};
use crate::id::EffectName;
use crate::lease::Lease;
use crate::time::Timestamp;

impl OperationRecord {
    /// Allows one act. `lease_ends` is what the store has, which renewals have moved.
    ///
    /// # Errors
    /// [`FenceError::Superseded`] under any other lease, [`FenceError::TooShort`] when the lease would not
    /// outlive budget and margin, [`FenceError::Journal`] when the journal asks for a probe first or has a
    /// receipt already.
    pub fn intend(
        &mut self,
        lease: &Lease,
        lease_ends: Timestamp,
        request: &IntentRequest,
        now: Timestamp,
    ) -> Result<Intent, FenceError> {
        self.fence(lease)?;
        if now + request.budget + request.margin > lease_ends {
            return Err(FenceError::TooShort);
        }
        self.allow_repair(request)?;
        match self.effects.iter_mut().find(|effect| effect.name == request.effect) {
            Some(effect) => effect.intend_again(lease, request, now)?,
            None => self.effects.push(first_intent(lease, request, now)),
        }
        Ok(Intent::issue(lease.clone(), request))
    }

    /// Opens the gate for the one request of this intent.
    ///
    /// # Errors
    /// [`FenceError::Superseded`] under any other lease, [`FenceError::TooShort`] when the lease ends
    /// before the budget does, [`FenceError::Journal`] unless the effect is intended under this lease.
    pub fn release(
        &mut self,
        request: &ReleaseRequest,
        lease_ends: Timestamp,
        now: Timestamp,
    ) -> Result<Released, FenceError> {
        self.fence(&request.lease)?;
        let act_until = now + request.budget;
        if act_until > lease_ends {
            return Err(FenceError::TooShort);
        }
        let effect = self.effect_mut(&request.effect)?;
        if effect.state != EffectState::Intended || effect.token != request.lease.token {
            return Err(JournalError::NotIntended(effect.name.to_string()).into());
        }
        effect.state = EffectState::Released;
        effect.released_at = Some(now);
        effect.act_until = Some(act_until);
        effect.answered_at = None;
        effect.differences.clear();
        Ok(Released::issue())
    }

    /// Notes that the released request was answered whole and so is over at the ERP, and what the answer read
    /// back otherwise than wanted.
    ///
    /// # Errors
    /// [`FenceError::Superseded`] under any other lease, [`FenceError::Journal`] without such an effect.
    pub fn answered(
        &mut self,
        lease: &Lease,
        effect: &EffectName,
        differences: &[String],
        now: Timestamp,
    ) -> Result<(), FenceError> {
        self.fence(lease)?;
        let effect = self.effect_mut(effect)?;
        if effect.state == EffectState::Released {
            effect.answered_at = Some(now);
            effect.differences = differences.to_vec();
        }
        Ok(())
    }

    /// Keeps what the ERP called the effect. The same receipt twice is fine.
    ///
    /// # Errors
    /// [`FenceError::Superseded`] under any other lease, [`FenceError::Journal`] when the effect was not
    /// released, or has another receipt.
    pub fn record(
        &mut self,
        lease: &Lease,
        effect: &EffectName,
        receipt: &Receipt,
    ) -> Result<(), FenceError> {
        self.fence(lease)?;
        let effect = self.effect_mut(effect)?;
        match effect.state {
            EffectState::Released => {}
            EffectState::Recorded if effect.receipt.as_ref() == Some(receipt) => return Ok(()),
            EffectState::Recorded => {
                return Err(JournalError::AlreadyRecorded(effect.name.to_string()).into());
            }
            EffectState::Intended | EffectState::Void => {
                return Err(JournalError::NotIntended(effect.name.to_string()).into());
            }
        }
        effect.state = EffectState::Recorded;
        effect.receipt = Some(receipt.clone());
        Ok(())
    }

    /// A person says that it happened: every open effect gets the receipt.
    pub(super) fn record_by_hand(&mut self, receipt: &Receipt) {
        for effect in self.effects.iter_mut().filter(|effect| effect.state == EffectState::Released) {
            effect.state = EffectState::Recorded;
            effect.receipt = Some(receipt.clone());
        }
    }

    /// A person says that what looks like it is not it.
    pub(super) fn deny_by_hand(&mut self) {
        for effect in self.effects.iter_mut().filter(|effect| effect.state == EffectState::Released) {
            effect.denied = true;
        }
    }

    /// Whatever was released once is open again: much may have happened since it was last looked for.
    pub(super) fn reopen_effects(&mut self) {
        for effect in self.effects.iter_mut().filter(|effect| effect.released_at.is_some()) {
            if matches!(effect.state, EffectState::Intended | EffectState::Void) {
                effect.state = EffectState::Released;
            }
        }
    }

    /// A repair is for an effect that was released and has no receipt yet.
    fn allow_repair(&self, request: &IntentRequest) -> Result<(), JournalError> {
        if request.basis != IntentBasis::ProbedDifferent {
            return Ok(());
        }
        let is_open = |effect: &&EffectRecord| {
            effect.state == EffectState::Released && EffectRecord::repair_of(&effect.name) == request.effect
        };
        if self.effects.iter().any(|effect| is_open(&effect)) {
            Ok(())
        } else {
            Err(JournalError::NotIntended(request.effect.to_string()))
        }
    }

    fn effect_mut(&mut self, name: &EffectName) -> Result<&mut EffectRecord, JournalError> {
        let found = self.effects.iter_mut().find(|effect| effect.name == *name);
        found.ok_or_else(|| JournalError::NotIntended(name.to_string()))
    }
}

impl EffectRecord {
    fn intend_again(
        &mut self,
        lease: &Lease,
        request: &IntentRequest,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        match (self.state, request.basis) {
            (EffectState::Recorded, _) => return Err(JournalError::AlreadyRecorded(self.name.to_string())),
            (EffectState::Released | EffectState::Void, IntentBasis::NothingReleased) => {
                return Err(JournalError::ProbeFirst(self.name.to_string()));
            }
            // What is there now is what was there before the repair: it did nothing, and may be tried again.
            (EffectState::Released | EffectState::Void, IntentBasis::ProbedDifferent)
                if self.baseline == request.baseline => {}
            (EffectState::Released | EffectState::Void, IntentBasis::ProbedDifferent) => {
                return Err(JournalError::RepairedOnce(self.name.to_string()));
            }
            (EffectState::Intended, _)
            | (EffectState::Released | EffectState::Void, IntentBasis::ProbedAbsent) => {}
        }
        if self.released_at.is_none() {
            // Nothing was ever sent: what is there now is what was there before the first act.
            self.baseline = request.baseline.clone();
        }
        self.state = EffectState::Intended;
        self.token = lease.token;
        self.acts = self.acts.saturating_add(1);
        self.intended_at = now;
        Ok(())
    }
}

fn first_intent(lease: &Lease, request: &IntentRequest, now: Timestamp) -> EffectRecord {
    EffectRecord {
        name: request.effect.clone(),
        state: EffectState::Intended,
        mark: request.mark.clone(),
        baseline: request.baseline.clone(),
        token: lease.token,
        acts: 1,
        intended_at: now,
        released_at: None,
        act_until: None,
        answered_at: None,
        differences: vec![],
        receipt: None,
        denied: false,
    }
}
