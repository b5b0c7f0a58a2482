//! What threads share memory through, and the clock that they look at. A test that includes a file of this crate by its
//! path puts others in their place, which let it try the orders in which threads may come. Such a file has its own
//! tests in another.

pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use tokio::time::{Instant, sleep_until};
