//! A file system that forgets what was not synced when the power is cut.

mod disk;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyEmpty, ReplyEntry,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use tempfile::TempDir;

pub(crate) use disk::Trouble;

use disk::{Content, Disk};

/// The only writer is the kernel, through us: what it knows stays true.
const TTL: Duration = Duration::from_secs(60);

/// A disk that outlives its mounts.
#[derive(Default, Clone)]
pub(crate) struct Forgetful(Arc<Mutex<Disk>>);

/// A disk in a folder; taken out when it is dropped.
pub(crate) struct Mounted {
    session: Option<BackgroundSession>,
    folder: TempDir,
}

impl Forgetful {
    /// Puts the disk into a folder. An error where this machine has no FUSE or does not let us.
    pub(crate) fn mount(&self) -> io::Result<Mounted> {
        let folder = tempfile::tempdir()?;
        let session = fuser::spawn_mount(Served(self.clone()), folder.path(), &Config::default())?;
        Ok(Mounted { session: Some(session), folder })
    }

    pub(crate) fn trouble(&self, trouble: Trouble) {
        self.disk().trouble = trouble;
    }

    pub(crate) fn power_up(&self, survives: impl FnMut() -> bool) {
        self.disk().power_up(survives);
    }

    /// How often anything was synced.
    pub(crate) fn syncs(&self) -> u64 {
        self.disk().syncs
    }

    /// Copies what is on the disk into an ordinary folder.
    pub(crate) fn copy_to(&self, folder: &Path) {
        for (name, bytes) in self.disk().files() {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }
}

impl Mounted {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Also where a test failed and left files open: then the folder is let go of as soon as they are closed.
impl Drop for Mounted {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if session.umount_and_join().is_ok() {
            return;
        }
        let detached = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
        if !detached.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.folder.path().display());
        }
    }
}

/// Answers the kernel.
struct Served(Forgetful);

fn file(ino: u64, content: &Content) -> FileAttr {
    let size = content.now.len() as u64;
    FileAttr { size, blocks: size.div_ceil(512), ..attributes(ino, FileType::RegularFile, content.mode) }
}

fn attributes(ino: u64, kind: FileType, mode: u32) -> FileAttr {
    FileAttr {
        ino: INodeNo(ino),
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: (mode & 0o777) as u16,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let disk = self.0.disk();
        match disk.find(name).and_then(|ino| Ok(file(ino, disk.file(ino)?))) {
            Ok(found) => reply.entry(&TTL, &found, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        if ino == INodeNo::ROOT {
            return reply.attr(&TTL, &attributes(ino.0, FileType::Directory, 0o700));
        }
        match self.0.disk().file(ino.0) {
            Ok(content) => reply.attr(&TTL, &file(ino.0, content)),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.0.disk();
        let sized = size.map_or(Ok(()), |size| disk.resize(ino.0, size as usize));
        let set = sized.and_then(|()| mode.map_or(Ok(()), |mode| disk.set_mode(ino.0, mode)));
        match set.and_then(|()| Ok(file(ino.0, disk.file(ino.0)?))) {
            Ok(changed) => reply.attr(&TTL, &changed),
            Err(error) => reply.error(error),
        }
    }

    fn create(&self, _: &Request, _: INodeNo, name: &OsStr, mode: u32, _: u32, _: i32, reply: ReplyCreate) {
        let mut disk = self.0.disk();
        match disk.create(name, mode).and_then(|ino| Ok(file(ino, disk.file(ino)?))) {
            Ok(made) => {
                reply.created(&TTL, &made, Generation(0), FileHandle(0), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.0.disk().unlink(name), reply);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.0.disk().file(ino.0) {
            Ok(content) => {
                let from = (offset as usize).min(content.now.len());
                let to = (from + size as usize).min(content.now.len());
                reply.data(&content.now[from..to]);
            }
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.0.disk().write(ino.0, offset as usize, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.0.disk().sync(ino.0), reply);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 20, 1 << 20, 1 << 20, 1000, 1000, 4096, 255, 4096);
    }
}

fn done(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}
