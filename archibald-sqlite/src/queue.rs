//! Between callers that are async and threads that block: what waits, and who serves it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn all_that_was_handed_over_is_served_before_the_end_and_nothing_after() {
        let sum = Arc::new(AtomicUsize::new(0));
        let servers = (0..3).map(|_| {
            let sum = sum.clone();
            move |queue: &Queue<usize>| {
                let mut taken = vec![];
                while queue.take(&mut taken, 2, None) == Taken::Some {
                    sum.fetch_add(taken.drain(..).sum(), Ordering::Relaxed);
                }
            }
        });
        let served = Served::start("test", 5, servers).unwrap();
        for n in 1..=100 {
            assert_eq!(served.put(n).await, Ok(()), "more than there is room for wait and are let in");
        }
        served.close().await;
        assert_eq!(sum.load(Ordering::Relaxed), 5_050);
        assert_eq!(served.put(1).await, Err(Closed));
    }

    #[tokio::test]
    async fn a_thread_that_waited_long_enough_is_told_and_what_comes_later_is_served() {
        let queue = Queue::new(1);
        let mut taken = vec![];
        assert_eq!(queue.take(&mut taken, 1, Some(Duration::from_millis(1))), Taken::Nothing);
        queue.put("late").await.unwrap();
        assert_eq!(queue.take(&mut taken, 1, Some(Duration::from_millis(1))), Taken::Some);
        assert_eq!(taken, ["late"]);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_thread_that_ended_badly() {
        let dies = |queue: &Queue<tokio::sync::oneshot::Sender<()>>| {
            queue.take(&mut vec![], 1, None);
            panic!("on purpose");
        };
        let served = Served::start("test", 1, [dies]).unwrap();
        let (reply, answer) = tokio::sync::oneshot::channel();
        served.put(reply).await.unwrap();
        assert!(answer.await.is_err());
        served.close().await;
        let (reply, _answer) = tokio::sync::oneshot::channel();
        assert_eq!(served.put(reply).await, Err(Closed));
    }
}
