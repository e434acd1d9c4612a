//! One process at a time in the folder of a run.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Error, Result};

/// The file in the folder that is locked. It stays there: taking it away would let two in.
pub const LOCK: &str = ".lock";

/// Whoever holds it is the only one who trains in a folder. It ends when it is dropped, and with its process however that
/// ends.
///
/// [`Trainer`](crate::rl::algo::Trainer) knows no folders: whoever keeps a run's checkpoints in one takes this before
/// reading the last of them. On a file system without locks it keeps nobody out. Forked processes share it: it ends for all
/// when it is dropped here, and with the last of them where this process was killed.
///
/// ```
/// use gbrl_core::io::FolderLock;
/// let folder = tempfile::tempdir().unwrap();
/// let lock = FolderLock::take(&folder)?;
/// let error = FolderLock::take(&folder).unwrap_err();
/// assert!(error.to_string().contains("another process is training there"));
/// drop(lock);
/// FolderLock::take(&folder)?;
/// # Ok::<(), gbrl_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FolderLock {
    file: File,
    /// The process that took it: a fork that drops its copy unlocks nothing.
    owner: u32,
}

impl FolderLock {
    /// Takes the lock of a folder, or fails at once.
    ///
    /// # Errors
    /// Class `Io`, naming the folder, where somebody holds it or nothing can be written; class `NotFound` where there is no
    /// folder.
    pub fn take(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let failed = |error| Error::file(folder, error);
        // Its contents are of no interest, and another process may have it open.
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK)).map_err(failed)?;
        match file.try_lock() {
            // Systems without locks have many words for it, ENOLCK of an NFS among them.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(FolderLock { file, owner: std::process::id() }),
            Err(TryLockError::WouldBlock) => {
                let reason = "another process is training there: wait for its end, or train in another folder";
                Err(failed(std::io::Error::new(ErrorKind::ResourceBusy, reason)))
            }
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if self.owner == std::process::id() {
            // Closing it is not enough where a fork has it open. What fails here has no lock.
            let _ = self.file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;

    #[test]
    fn of_many_that_come_at_once_one_gets_in() {
        let folder = tempfile::tempdir().unwrap();
        let taken: Vec<Result<FolderLock>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| FolderLock::take(&folder))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let refused: Vec<&Error> = taken.iter().filter_map(|taken| taken.as_ref().err()).collect();
        assert_eq!(refused.len(), 7);
        for error in refused {
            let start = format!("{}: another process is training there", folder.path().display());
            assert!(error.to_string().starts_with(&start) && error.class() == ErrorClass::Io, "{error}");
        }
        drop(taken);
        FolderLock::take(&folder).unwrap();
    }

    /// A second handle to the open file is what a fork has.
    #[test]
    fn a_fork_neither_keeps_nor_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let own = FolderLock::take(&folder).unwrap();
        let handle = || own.file.try_clone().unwrap();
        drop(FolderLock { file: handle(), owner: own.owner.wrapping_add(1) });
        assert!(FolderLock::take(&folder).is_err());
        let _kept = handle();
        drop(own);
        FolderLock::take(&folder).unwrap();
    }

    #[test]
    fn folders_are_locked_one_by_one() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let _lock = FolderLock::take(&one).unwrap();
        FolderLock::take(&other).unwrap();
        let error = FolderLock::take(one.path().join("none")).unwrap_err();
        assert_eq!(error.class(), ErrorClass::NotFound);
    }
}
