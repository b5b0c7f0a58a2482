//! Between callers that are async and threads that block: what waits, and who serves it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use crate::sync::{Condvar, Mutex, MutexGuard, thread};

/// The queue takes nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// What a thread got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Something.
    Some,
    /// Nothing came for as long as it waited.
    Nothing,
    /// Nothing will come any more.
    End,
}

/// What waits, in the order in which it came, and no more than there is room for.
pub(crate) struct Queue<T> {
    held: Mutex<Held<T>>,
    came: Condvar,
    room: Semaphore,
}

struct Held<T> {
    waiting: VecDeque<T>,
    closed: bool,
    /// Threads that wait and were not called: each is called once, however much comes before it is there.
    idle: usize,
    called: usize,
}

impl<T> Queue<T> {
    pub(crate) fn new(room: usize) -> Self {
        let held = Held { waiting: VecDeque::new(), closed: false, idle: 0, called: 0 };
        Self { held: Mutex::new(held), came: Condvar::new(), room: Semaphore::new(room) }
    }

    /// Hands something over as soon as there is room. A dropped call has handed it over or not.
    pub(crate) async fn put(&self, thing: T) -> Result<(), Closed> {
        let place = self.room.acquire().await.map_err(|_| Closed)?;
        let mut held = self.lock();
        if held.closed {
            return Err(Closed);
        }
        place.forget();
        held.waiting.push_back(thing);
        if held.idle > 0 {
            held.idle -= 1;
            held.called += 1;
            drop(held);
            self.came.notify_one();
        }
        Ok(())
    }

    /// Takes what waits, `most` at most; where nothing does, waits for it, for ever without `patience`.
    pub(crate) fn take(&self, into: &mut Vec<T>, most: usize, patience: Option<Duration>) -> Taken {
        let until = patience.map(|patience| Instant::now() + patience);
        let mut held = self.lock();
        while held.waiting.is_empty() {
            if held.closed {
                return Taken::End;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Taken::Nothing;
            }
            held = self.sleep(held, left);
        }
        let count = held.waiting.len().min(most);
        into.extend(held.waiting.drain(..count));
        drop(held);
        self.room.add_permits(count);
        Taken::Some
    }

    fn sleep<'a>(
        &'a self,
        mut held: MutexGuard<'a, Held<T>>,
        at_most: Option<Duration>,
    ) -> MutexGuard<'a, Held<T>> {
        held.idle += 1;
        let mut held = match at_most {
            Some(time) => self.came.wait_timeout(held, time).unwrap_or_else(PoisonError::into_inner).0,
            None => self.came.wait(held).unwrap_or_else(PoisonError::into_inner),
        };
        match held.called {
            0 => held.idle -= 1,
            _ => held.called -= 1,
        }
        held
    }

    /// Takes nothing more; what is there is still served.
    fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.came.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Held<T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads that serve a queue until it is closed.
pub(crate) struct Served<T> {
    queue: Arc<Queue<T>>,
    /// Closed when the last of them has ended.
    ended: watch::Receiver<()>,
}

impl<T: Send + 'static> Served<T> {
    /// One thread for each of `servers`.
    pub(crate) fn start<S>(name: &str, room: usize, servers: impl IntoIterator<Item = S>) -> io::Result<Self>
    where
        S: FnOnce(&Queue<T>) + Send + 'static,
    {
        let (alive, ended) = watch::channel(());
        let served = Self { queue: Arc::new(Queue::new(room)), ended };
        for serve in servers {
            let (queue, alive) = (served.queue.clone(), alive.clone());
            thread::Builder::new().name(name.to_owned()).spawn(move || {
                let _alive = alive;
                let guard = Guard(&queue);
                serve(guard.0);
            })?;
        }
        Ok(served)
    }

    pub(crate) async fn put(&self, thing: T) -> Result<(), Closed> {
        self.queue.put(thing).await
    }

    /// Waits until what was handed over is served and the threads have ended.
    pub(crate) async fn close(&self) {
        self.queue.close();
        // Nothing is ever sent: this ends when nobody is left who could.
        self.ended.clone().changed().await.ok();
    }
}

impl<T> Drop for Served<T> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// A thread that ends badly leaves nobody waiting for it.
struct Guard<'a, T>(&'a Queue<T>);

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.close();
            let left = std::mem::take(&mut self.0.lock().waiting);
            drop(left);
        }
    }
}
