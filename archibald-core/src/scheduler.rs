//! Decides what runs next: pure, the same inputs give the same commands.

mod ticket;

pub use self::ticket::Ticket;
