//! docs/results.json, which several commands may add to at once, and who of them trains what.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Cell, Cells};

/// The file that a run's folder is locked by (`gbrl_core::io::lock::LOCK`).
const FOLDER_LOCK: &str = ".lock";

/// The cells on the disk.
pub struct Store {
    file: PathBuf,
    /// A folder of files that are locked; one that is left over locks nobody out.
    locks: PathBuf,
}

/// The right to train a cell, which ends with its process.
pub struct Claim {
    _lock: Lock,
}

/// A lock that is ours until it is dropped. Closing the file is not enough: a program that another thread is just starting
/// has it open, too.
struct Lock(File);

impl Lock {
    fn wait(file: File) -> std::io::Result<Self> {
        file.lock()?;
        Ok(Lock(file))
    }

    /// `None` while another holds it.
    fn take(file: File) -> Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).context("a lock"),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // It ends with the process at the latest.
        let _ = self.0.unlock();
    }
}

impl Store {
    /// The cells in `file`.
    pub fn new(file: PathBuf, locks: PathBuf) -> Self {
        Store { file, locks }
    }

    /// The cells as they are now.
    pub fn read(&self) -> Result<Cells> {
        match fs::read_to_string(&self.file) {
            Ok(text) => serde_json::from_str(&text).with_context(|| self.file.display().to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Cells::new()),
            Err(error) => Err(error).with_context(|| self.file.display().to_string()),
        }
    }

    /// Adds a cell to those that are there by now.
    pub fn add(&self, key: String, cell: Cell) -> Result<()> {
        self.alone(|mut cells| {
            cells.insert(key, cell);
            // Whoever reads meanwhile sees the old cells or the new ones.
            let written = self.file.with_extension("json.tmp");
            let mut file = File::create(&written).with_context(|| written.display().to_string())?;
            file.write_all((serde_json::to_string_pretty(&cells)? + "\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&written, &self.file).with_context(|| self.file.display().to_string())
        })
    }

    /// What `work` makes of the cells while nobody adds any.
    pub fn alone<T>(&self, work: impl FnOnce(Cells) -> Result<T>) -> Result<T> {
        let _lock = Lock::wait(self.lock_file("store")?).context("locking the results")?;
        work(self.read()?)
    }

    /// The right to train the cell `key` in `folder`; `None` while another process has it, or trains there without.
    pub fn claim(&self, key: &str, folder: &Path) -> Result<Option<Claim>> {
        let Some(lock) = Lock::take(self.lock_file(&key.replace('/', "-"))?)? else { return Ok(None) };
        // A command that was killed leaves its trainings behind. Some systems lock only what may be written.
        let path = folder.join(FOLDER_LOCK);
        let is_free = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => Lock::take(file)?.is_some(),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        Ok(is_free.then_some(Claim { _lock: lock }))
    }

    fn lock_file(&self, name: &str) -> Result<File> {
        fs::create_dir_all(&self.locks).with_context(|| self.locks.display().to_string())?;
        let path = self.locks.join(name);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        file.with_context(|| path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::cell;
    use super::*;

    /// A folder of its own for each test; gone afterwards.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("gbrl-store-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Place(path)
        }

        /// As another command has it.
        fn store(&self) -> Store {
            Store::new(self.0.join("results.json"), self.0.join("locks"))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn nobody_loses_what_another_adds() {
        let place = Place::new("add");
        assert!(place.store().read().unwrap().is_empty());
        std::thread::scope(|scope| {
            for command in 0..4 {
                let store = place.store();
                scope.spawn(move || {
                    for seed in 0..25 {
                        store.add(format!("{command}/{seed}"), cell(seed, command as f64)).unwrap();
                        // Never a part of a file.
                        assert!(store.read().unwrap().len() > seed as usize);
                    }
                });
            }
        });
        let cells = place.store().read().unwrap();
        assert_eq!(cells.len(), 100);
        assert!((0..4).all(|command| cells[&format!("{command}/24")].train_return_mean == command as f64));
        let names: Vec<_> = fs::read_dir(&place.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn a_broken_file_is_no_empty_one() {
        let place = Place::new("broken");
        fs::write(place.0.join("results.json"), "{").unwrap();
        assert!(place.store().add("a".into(), cell(0, 0.0)).is_err());
        assert_eq!(fs::read_to_string(place.0.join("results.json")).unwrap(), "{");
    }

    #[test]
    fn a_cell_is_claimed_once() {
        let place = Place::new("claim");
        let folder = place.0.join("a");
        let claim = |key: &str| place.store().claim(key, &folder);
        let one = claim("a/1").unwrap().unwrap();
        assert!(claim("a/1").unwrap().is_none());
        assert!(claim("a/2").unwrap().is_some());
        drop(one);
        assert!(claim("a/1").unwrap().is_some());
        // A training that its command left behind.
        fs::create_dir(&folder).unwrap();
        let training = gbrl_core::io::FolderLock::take(&folder).unwrap();
        assert!(claim("a/1").unwrap().is_none());
        drop(training);
        assert!(claim("a/1").unwrap().is_some());
        // What cannot be looked at is not free.
        fs::remove_file(folder.join(FOLDER_LOCK)).unwrap();
        fs::create_dir(folder.join(FOLDER_LOCK)).unwrap();
        assert!(claim("a/1").is_err());
    }
}
