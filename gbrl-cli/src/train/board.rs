//! events.out.tfevents.*: scalars for TensorBoard.
//!
//! Only the record writer and the protobuf messages of tensorboard-rs are used, over a file of our own: its summary
//! writer panics when a disk is full.

use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use gbrl_core::Error;
use protobuf::Message;
use tensorboard_proto::event::{Event, SessionLog, SessionLog_SessionStatus};
use tensorboard_rs::record_writer::RecordWriter;
use tensorboard_rs::summary;

use crate::failure::Failure;

/// An event file; TensorBoard reads all of a folder's together.
pub struct Board {
    path: PathBuf,
    records: RecordWriter<BufWriter<File>>,
}

impl Board {
    /// A new file in `folder`. After a resume it tells TensorBoard to forget what came after `timesteps`.
    pub fn create(folder: &Path, resumed_at: Option<u64>) -> Result<Self, Failure> {
        let seconds = now() as u64;
        let mut number = 0;
        let (path, file) = loop {
            let path = folder.join(format!("events.out.tfevents.{seconds:010}.gbrl.{number}"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 10_000 => number += 1,
                Err(error) => return Err(Error::file(path, error).into()),
            }
        };
        let mut board = Board { path, records: RecordWriter::new(BufWriter::new(file)) };
        let mut first = Event::new();
        first.set_file_version("brain.Event:2".to_owned());
        board.write(first)?;
        if let Some(timesteps) = resumed_at {
            let mut log = SessionLog::new();
            log.set_status(SessionLog_SessionStatus::START);
            let mut event = Event::new();
            // Events from this step on are forgotten; the checkpoint's own are kept.
            event.set_step(timesteps as i64 + 1);
            event.set_session_log(log);
            board.write(event)?;
        }
        board.flush()?;
        Ok(board)
    }

    /// Adds one number.
    pub fn scalar(&mut self, key: &str, timesteps: u64, value: f64) -> Result<(), Failure> {
        if !value.is_finite() {
            return Ok(());
        }
        let mut event = Event::new();
        event.set_step(timesteps as i64);
        event.set_summary(summary::scalar(key, value as f32));
        self.write(event)
    }

    /// Sees to it that everything so far is in the file.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.records.flush().map_err(|error| Error::file(&self.path, error).into())
    }

    fn write(&mut self, mut event: Event) -> Result<(), Failure> {
        event.set_wall_time(now());
        let bytes =
            event.write_to_bytes().map_err(|error| Failure::new(format!("{}: {error}", self.path.display())))?;
        self.records.write(&bytes).map_err(|error| Error::file(&self.path, error).into())
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
