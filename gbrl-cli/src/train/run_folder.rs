//! The folder of a run: a new one never overwrites another.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gbrl_core::Error;
use gbrl_core::io::FolderLock;

use super::states;
use crate::failure::Failure;

const MODEL: &str = "model.gbrl";
const CHECKPOINTS: &str = "checkpoints";

/// The file that `path` means: itself, or the model of a run folder.
pub fn model_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(MODEL) } else { path.to_owned() }
}

/// The states that the run of a model left behind: beside it, or beside the folder of a checkpoint.
pub fn states_file(model: &Path) -> PathBuf {
    let beside = model.with_file_name(states::FILE);
    let above = model.parent().and_then(Path::parent).map(|folder| folder.join(states::FILE));
    above.filter(|above| !beside.exists() && above.exists()).unwrap_or(beside)
}

/// Where a run's files lie. While it is open, nobody else trains there.
pub struct RunFolder {
    path: PathBuf,
    _lock: FolderLock,
}

/// More folders of one name than anybody wants.
const MAX_NUMBER: usize = 100_000;

impl RunFolder {
    /// Makes `wanted`, or `wanted-2`, `wanted-3`, … where that is taken. An empty folder is not taken. Whoever makes
    /// checkpoints/ in it has it, so that runs that start together get different folders.
    pub fn create(wanted: &Path) -> Result<Self, Failure> {
        let failed = |path: &Path, error| {
            let error = Error::file(path, error);
            Failure::new(format!("{error}; expected a folder that can be written: choose one with --out DIR"))
        };
        if let Some(parent) = wanted.parent() {
            fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        }
        for number in 1..MAX_NUMBER {
            let Some(path) = numbered(wanted, number) else {
                let rule = "an empty folder, or a name that can get a number";
                return Err(Failure::expected("--out", rule, &format!("{}, which is not empty", wanted.display())));
            };
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    let empty = fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none());
                    if !empty {
                        continue;
                    }
                }
                Err(error) => return Err(failed(&path, error)),
            }
            match fs::create_dir(path.join(CHECKPOINTS)) {
                Ok(()) => {
                    let lock = FolderLock::take(&path)?;
                    return Ok(RunFolder { path, _lock: lock });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&path, error)),
            }
        }
        Err(Failure::expected(
            "--out",
            &format!("a name with fewer than {MAX_NUMBER} runs"),
            &wanted.display().to_string(),
        ))
    }

    /// The folder of an earlier run, in which nobody trains any more.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if !path.join(CHECKPOINTS).is_dir() {
            let got = if path.exists() { "a path without it" } else { "a path that does not exist" };
            return Err(Failure::expected(
                &format!("--resume {}", path.display()),
                "a run folder with checkpoints/ in it",
                got,
            ));
        }
        let lock = FolderLock::take(path)?;
        Ok(RunFolder { path: path.to_owned(), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn model(&self) -> PathBuf {
        self.file(MODEL)
    }

    /// The checkpoint taken at `timesteps`.
    pub fn checkpoint(&self, timesteps: u64) -> PathBuf {
        self.checkpoints().join(format!("{timesteps}.gbrl"))
    }

    /// The checkpoint with the most steps.
    pub fn last_checkpoint(&self) -> Result<PathBuf, Failure> {
        let folder = self.checkpoints();
        let entries = fs::read_dir(&folder).map_err(|error| Error::file(&folder, error))?;
        let steps = |path: &Path| path.file_stem()?.to_str()?.parse::<u64>().ok();
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "gbrl"))
            .filter_map(|path| Some((steps(&path)?, path)))
            .max()
            .map(|(_, path)| path)
            .ok_or_else(|| Failure::expected(&folder.display().to_string(), "a checkpoint STEPS.gbrl", "none"))
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }
}

/// `None` for a number behind a path without a name, such as `.` or `..`.
fn numbered(wanted: &Path, number: usize) -> Option<PathBuf> {
    if number == 1 {
        return Some(wanted.to_owned());
    }
    let mut name = wanted.file_name()?.to_owned();
    name.push(format!("-{number}"));
    Some(wanted.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_never_overwrites_another() {
        let root = tempfile::tempdir().unwrap();
        let wanted = root.path().join("CartPole-v1/a");
        let names: Vec<PathBuf> = (0..3).map(|_| RunFolder::create(&wanted).unwrap().path).collect();
        assert_eq!(names[0], wanted);
        assert_eq!(names[2], root.path().join("CartPole-v1/a-3"));
    }

    #[test]
    fn runs_that_start_together_get_folders_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let wanted = root.path().join("a");
        let mut names: Vec<PathBuf> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| RunFolder::create(&wanted).unwrap().path)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 8);
    }

    #[test]
    fn a_path_without_a_name_gets_no_number() {
        let root = tempfile::tempdir().unwrap();
        let wanted = root.path().join("a/..");
        fs::create_dir(root.path().join("a")).unwrap();
        assert!(RunFolder::create(&wanted).is_err());
        let names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a"]);
    }

    #[test]
    fn the_last_checkpoint_is_the_one_with_most_steps() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&root.path().join("a")).unwrap();
        assert!(folder.last_checkpoint().is_err());
        for steps in [2048, 10_240, 4096] {
            fs::write(folder.checkpoint(steps), "").unwrap();
        }
        fs::write(folder.checkpoints().join("99999999.tmp"), "").unwrap();
        assert_eq!(folder.last_checkpoint().unwrap(), folder.checkpoint(10_240));
    }
}
