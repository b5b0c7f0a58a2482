use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use archibald_core::error::StoreError;

use crate::SqliteStore;

/// Why there is no backup. A file that was there before is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The file exists already, or cannot be made or synced.
    #[error("{} cannot be made", path.display())]
    NotWritable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// SQLite could not copy the database; what it had written is removed.
    #[error("the database could not be copied to {}", path.display())]
    Sqlite {
        /// The path.
        path: PathBuf,
        /// What it said.
        #[source]
        cause: StoreError,
    },
}

impl SqliteStore {
    /// Copies the database, as of now, into a new file that only its owner can read; writers go on
    /// meanwhile. To restore it, put it in the place of the database while no process has that open, and
    /// remove `-wal` and `-shm` there: the store then sees that history was lost and resets all devices.
    ///
    /// # Errors
    /// [`BackupError`].
    ///
    /// # Cancel safety
    /// A dropped call may leave the file behind, whole or not.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<(), BackupError> {
        let path = to.as_ref().to_owned();
        let not_writable = |cause| BackupError::NotWritable { path: path.clone(), cause };
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(not_writable)?;
        if let Err(cause) = self.reader.copy_to(&path).await {
            std::fs::remove_file(&path).ok();
            return Err(BackupError::Sqlite { path, cause });
        }
        sync(file, &path).map_err(not_writable)
    }
}

/// The file, and its name in its folder.
fn sync(file: File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
