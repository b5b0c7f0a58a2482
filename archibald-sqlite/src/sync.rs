//! What threads share memory through. A test that includes a file of this crate by its path puts other locks and
//! threads in their place, which let it try the orders in which threads may come. Such a file has its own tests in
//! another.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::thread;
