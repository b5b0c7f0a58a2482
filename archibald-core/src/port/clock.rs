use crate::time::Timestamp;

/// The wall clock of stores that have none of their own.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Clock: Send + Sync {
    /// Now. May go backwards; users must treat an earlier time as "not yet".
    fn now(&self) -> Timestamp;
}
