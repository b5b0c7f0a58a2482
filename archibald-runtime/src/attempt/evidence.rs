//! How much evidence an operation keeps.
//!
//! An operation may be tried again for hours while the ERP is down, and looks the same each time. So what is
//! kept of attempts that are followed by another is bounded to half; the other half is for the attempt that
//! ends it, rejected, failed or in doubt, which is the one that a person has to judge. What does not fit is
//! left out whole, and said so in the log: half a picture is none.

use archibald_core::record::{Disposition, Evidence, EvidenceInfo};

/// Bytes and things that an operation keeps at the most.
const MOST: Room = Room { bytes: 8 * 1024 * 1024, things: 32 };

/// What may still be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    bytes: u64,
    things: usize,
}

/// What an attempt that ends like that may add to what is kept.
pub(super) fn room(kept: &[EvidenceInfo], disposition: &Disposition) -> Room {
    let share = match disposition {
        Disposition::Retry { .. } | Disposition::Yield { .. } => 2,
        _ => 1,
    };
    let bytes: u64 = kept.iter().map(|it| it.size).sum();
    Room {
        bytes: (MOST.bytes / share).saturating_sub(bytes),
        things: (MOST.things / share as usize).saturating_sub(kept.len()),
    }
}

/// What fits, in its order; the small things are chosen first, since words say more for a byte than pictures.
pub(super) fn fitting(evidence: Vec<Evidence>, mut room: Room) -> Vec<Evidence> {
    let mut places: Vec<_> = evidence.into_iter().enumerate().collect();
    places.sort_by_key(|(_, it)| it.bytes.len());
    places.retain(|(_, it)| {
        let size = it.bytes.len() as u64;
        let fits = room.things > 0 && size <= room.bytes;
        if fits {
            room = Room { bytes: room.bytes - size, things: room.things - 1 };
        } else {
            tracing::info!(name = it.name, size, "no room for more evidence of this operation");
        }
        fits
    });
    places.sort_by_key(|(place, _)| *place);
    places.into_iter().map(|(_, it)| it).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use archibald_core::time::Timestamp;
    use std::time::Duration;

    fn kept(count: u32, size: u64) -> Vec<EvidenceInfo> {
        let info = |n| EvidenceInfo {
            n,
            name: "page".into(),
            media_type: "text/html".into(),
            size,
            at: Timestamp::EPOCH,
        };
        (0..count).map(info).collect()
    }

    fn thing(name: &str, size: usize) -> Evidence {
        Evidence { name: name.into(), media_type: "text/plain".into(), bytes: vec![b'x'; size] }
    }

    #[test]
    fn retries_leave_half_to_the_attempt_that_ends_it() {
        let retry = Disposition::Retry { after: Duration::ZERO, why: "down".into() };
        let doubt = Disposition::Doubt { evidence: "two bearers".into() };
        assert_eq!(room(&[], &retry), Room { bytes: 4 << 20, things: 16 });
        assert_eq!(room(&kept(16, 1), &retry).things, 0);
        assert_eq!(room(&kept(16, 1), &doubt), Room { bytes: (8 << 20) - 16, things: 16 });
        assert_eq!(room(&kept(3, 4 << 20), &doubt), Room { bytes: 0, things: 29 });
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole() {
        let names = |room| {
            let all = vec![thing("picture", 900), thing("page", 300), thing("requests", 20)];
            fitting(all, room).into_iter().map(|it| it.name).collect::<Vec<_>>()
        };
        assert_eq!(names(Room { bytes: 2000, things: 9 }), ["picture", "page", "requests"]);
        assert_eq!(names(Room { bytes: 1000, things: 9 }), ["page", "requests"]);
        assert_eq!(names(Room { bytes: 2000, things: 1 }), ["requests"]);
        assert!(names(Room { bytes: 0, things: 9 }).is_empty());
    }
}
