//! A disk in memory that knows what was synced.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use fuser::{Errno, INodeNo};

/// What an interrupted write leaves: whole sectors.
const SECTOR: usize = 512;

/// Files of one flat folder. Names are durable at once; what is in the files only when it is synced.
pub(crate) struct Disk {
    files: BTreeMap<u64, Content>,
    names: BTreeMap<OsString, u64>,
    next: u64,
    pub(crate) trouble: Trouble,
    pub(crate) syncs: u64,
}

/// What the disk does from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// The power is gone: nothing is done any more.
    NoPower,
    /// Syncing fails.
    SyncFails,
    /// There is no room for another byte.
    Full,
}

#[derive(Default)]
pub(crate) struct Content {
    pub(crate) now: Vec<u8>,
    pub(crate) mode: u32,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

enum Change {
    Write { offset: usize, data: Vec<u8> },
    Resize(usize),
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            next: INodeNo::ROOT.0 + 1,
            trouble: Trouble::None,
            syncs: 0,
        }
    }
}

impl Disk {
    pub(crate) fn find(&self, name: &OsStr) -> Result<u64, Errno> {
        self.powered()?;
        self.names.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(crate) fn create(&mut self, name: &OsStr, mode: u32) -> Result<u64, Errno> {
        self.powered()?;
        let ino = self.next;
        self.next += 1;
        self.files.insert(ino, Content { mode, ..Content::default() });
        self.names.insert(name.to_owned(), ino);
        Ok(ino)
    }

    pub(crate) fn unlink(&mut self, name: &OsStr) -> Result<(), Errno> {
        self.powered()?;
        self.names.remove(name).map(drop).ok_or(Errno::ENOENT)
    }

    pub(crate) fn file(&self, ino: u64) -> Result<&Content, Errno> {
        self.powered()?;
        self.files.get(&ino).ok_or(Errno::ENOENT)
    }

    pub(crate) fn set_mode(&mut self, ino: u64, mode: u32) -> Result<(), Errno> {
        self.file(ino)?;
        self.files.get_mut(&ino).ok_or(Errno::ENOENT)?.mode = mode;
        Ok(())
    }

    pub(crate) fn write(&mut self, ino: u64, offset: usize, data: &[u8]) -> Result<(), Errno> {
        if self.trouble == Trouble::Full {
            return Err(Errno::ENOSPC);
        }
        self.change(ino, Change::Write { offset, data: data.to_vec() })
    }

    pub(crate) fn resize(&mut self, ino: u64, size: usize) -> Result<(), Errno> {
        self.change(ino, Change::Resize(size))
    }

    pub(crate) fn sync(&mut self, ino: u64) -> Result<(), Errno> {
        self.file(ino)?;
        if self.trouble == Trouble::SyncFails {
            return Err(Errno::EIO);
        }
        self.syncs += 1;
        let content = self.files.get_mut(&ino).ok_or(Errno::ENOENT)?;
        for change in content.unsynced.drain(..) {
            change.apply(&mut content.durable);
        }
        Ok(())
    }

    /// The power comes back: what was synced is there. Of what was not, each sector is there or not, as
    /// `survives` says, in any order, as disks do it.
    pub(crate) fn power_up(&mut self, mut survives: impl FnMut() -> bool) {
        self.trouble = Trouble::None;
        let names = &self.names;
        self.files.retain(|ino, _| names.values().any(|named| named == ino));
        for content in self.files.values_mut() {
            for change in content.unsynced.drain(..) {
                change.apply_in_part(&mut content.durable, &mut survives);
            }
            content.now = content.durable.clone();
        }
    }

    /// The files as they are.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&OsStr, &[u8])> {
        self.names.iter().map(|(name, ino)| (name.as_os_str(), &self.files[ino].now[..]))
    }

    fn change(&mut self, ino: u64, change: Change) -> Result<(), Errno> {
        self.file(ino)?;
        let content = self.files.get_mut(&ino).ok_or(Errno::ENOENT)?;
        change.apply(&mut content.now);
        content.unsynced.push(change);
        Ok(())
    }

    fn powered(&self) -> Result<(), Errno> {
        if self.trouble == Trouble::NoPower { Err(Errno::EIO) } else { Ok(()) }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Resize(size) => bytes.resize(*size, 0),
            Self::Write { offset, data } => put(bytes, *offset, data),
        }
    }

    fn apply_in_part(&self, bytes: &mut Vec<u8>, survives: &mut impl FnMut() -> bool) {
        match self {
            Self::Resize(_) if survives() => self.apply(bytes),
            Self::Resize(_) => {}
            Self::Write { offset, data } => {
                for (n, sector) in data.chunks(SECTOR).enumerate() {
                    if survives() {
                        put(bytes, offset + n * SECTOR, sector);
                    }
                }
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}
