//! The clock on the wall, for people; nothing of an operation is decided by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use archibald_core::time::Timestamp;

pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::EPOCH + time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

pub(crate) fn time_left(until: SystemTime) -> Duration {
    until.duration_since(SystemTime::now()).unwrap_or_default()
}
