//! How far the log had got, kept beside the database, so that a restored backup is told from it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use uuid::Uuid;

use crate::effects::Effects;

/// The epoch, and the events written in it over all agents. Written after each commit and never synced, so
/// it is at most as new as the database that it lies beside; a database behind it is an older one.
pub(crate) struct PlaceFile {
    file: File,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) epoch: Uuid,
    pub(crate) events: u64,
}

impl PlaceFile {
    /// What the file says; `None` where it says nothing that can be read.
    pub(crate) fn read(file: &mut File) -> io::Result<Option<Place>> {
        let mut text = String::new();
        file.take(200).read_to_string(&mut text)?;
        Ok(parse(&text))
    }

    /// The file, from now on at this place.
    pub(crate) fn start(file: File, place: Place) -> io::Result<Self> {
        let started = Self { file, place };
        started.write()?;
        Ok(started)
    }

    /// Goes on with what was committed.
    pub(crate) fn advance(&mut self, effects: &Effects) {
        let before = self.place;
        if let Some(epoch) = effects.new_epoch {
            self.place = Place { epoch, events: 0 };
        }
        self.place.events += effects.events;
        if self.place != before
            && let Err(error) = self.write()
        {
            tracing::warn!(%error, "the place of the log was not noted; a backup restored now is not told");
        }
    }

    /// One write of one length, so that there is no moment with half a place in the file.
    fn write(&self) -> io::Result<()> {
        let line = format!("{} {:020}\n", self.place.epoch.simple(), self.place.events);
        self.file.write_all_at(line.as_bytes(), 0)
    }
}

impl Place {
    /// Whether a database at `self` may lack what one at `noted` had.
    pub(crate) fn is_behind(self, noted: Option<Self>) -> bool {
        match noted {
            Some(noted) => noted.epoch != self.epoch || noted.events > self.events,
            // Without a note nothing is known; an empty log has nothing to lack.
            None => self.events > 0,
        }
    }
}

fn parse(text: &str) -> Option<Place> {
    let (epoch, events) = text.trim_end().split_once(' ')?;
    Some(Place { epoch: Uuid::try_parse(epoch).ok()?, events: events.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_behind_its_note_is_told() {
        let at = |epoch, events| Place { epoch: Uuid::from_u128(epoch), events };
        for (database, noted, behind) in [
            (at(1, 5), Some(at(1, 5)), false),
            (at(1, 6), Some(at(1, 5)), false),
            (at(1, 4), Some(at(1, 5)), true),
            (at(2, 9), Some(at(1, 5)), true),
            (at(1, 0), None, false),
            (at(1, 1), None, true),
        ] {
            assert_eq!(database.is_behind(noted), behind, "{database:?} {noted:?}");
        }
    }

    #[test]
    fn what_was_noted_is_read_and_rubbish_is_not() {
        let mut file = tempfile::tempfile().unwrap();
        let place = Place { epoch: Uuid::from_u128(7), events: 42 };
        let mut noted = PlaceFile::start(file.try_clone().unwrap(), place).unwrap();
        noted.advance(&Effects { events: 3, ..Effects::default() });
        assert_eq!(PlaceFile::read(&mut file).unwrap(), Some(Place { events: 45, ..place }));
        for rubbish in ["", "x", "00000000000000000000000000000007", "0007 -1", "\0\0\0"] {
            assert_eq!(parse(rubbish), None, "{rubbish:?}");
        }
    }
}
