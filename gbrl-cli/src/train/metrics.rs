//! metrics.csv: a row per logged update.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use gbrl_core::Error;

use crate::failure::Failure;

/// Numbers of one row by column; what a row does not have stays empty.
pub struct MetricsFile {
    path: PathBuf,
    columns: Vec<String>,
    writer: BufWriter<File>,
}

/// The column that says when.
pub const TIMESTEPS: &str = "time/total_timesteps";

impl MetricsFile {
    /// A new file whose columns are `columns`.
    pub fn create(path: &Path, columns: Vec<String>) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let writer = BufWriter::new(file.map_err(|error| Error::file(path, error))?);
        let mut metrics = MetricsFile { path: path.to_owned(), columns, writer };
        metrics.line(&metrics.columns.join(","))?;
        // Without its first line the file could not be read again.
        metrics.flush()?;
        Ok(metrics)
    }

    /// Goes on with an earlier file: rows after `timesteps`, which a resumed run writes again, are dropped.
    pub fn resume(path: &Path, timesteps: u64) -> Result<(Self, Table), Failure> {
        let failed = |error| Failure::from(Error::file(path, error));
        let mut table = Table::read(path)?;
        table
            .rows
            .retain(|row| table.columns.iter().zip(row).all(|(name, &x)| name != TIMESTEPS || x <= timesteps as f64));
        let kept: String = fs::read_to_string(path)
            .map_err(failed)?
            .lines()
            .take(table.rows.len() + 1)
            .flat_map(|line| [line, "\n"])
            .collect();
        gbrl_core::io::container::write_atomic(path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        let metrics =
            MetricsFile { path: path.to_owned(), columns: table.columns.clone(), writer: BufWriter::new(file) };
        Ok((metrics, table))
    }

    /// One that cannot be written.
    #[cfg(all(test, target_os = "linux"))]
    pub fn on_a_full_disk() -> Self {
        let path = PathBuf::from("/dev/full");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        MetricsFile { path, columns: Vec::new(), writer: BufWriter::new(file) }
    }

    /// Adds a row.
    pub fn row(&mut self, numbers: &[(&str, f64)]) -> Result<(), Failure> {
        let cell = |column: &String| match numbers.iter().find(|(name, _)| name == column) {
            Some((_, x)) if x.is_finite() => x.to_string(),
            _ => String::new(),
        };
        let line = self.columns.iter().map(cell).collect::<Vec<_>>().join(",");
        self.line(&line)
    }

    /// Sees to it that everything so far is in the file.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| Error::file(&self.path, error).into())
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.writer, "{text}").map_err(|error| Error::file(&self.path, error).into())
    }
}

/// A metrics file in memory; NaN where a cell is empty.
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<f64>>,
}

impl Table {
    /// Reads a file that [`MetricsFile`] wrote. A last line that was cut off is ignored.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
        let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let columns: Vec<String> = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        let mut rows = Vec::new();
        for (i, line) in lines.enumerate() {
            let cell = |text: &str| if text.is_empty() { Some(f64::NAN) } else { text.parse().ok() };
            match line.split(',').map(cell).collect::<Option<Vec<f64>>>() {
                Some(row) if row.len() == columns.len() => rows.push(row),
                _ => {
                    let expected = format!("{} numbers", columns.len());
                    let what = format!("{}, line {}", path.display(), i + 2);
                    return Err(Failure::expected(&what, &expected, &format!("'{line}'")));
                }
            }
        }
        Ok(Table { columns, rows })
    }

    /// The numbers of two columns, where both are there.
    pub fn pairs(&self, x: &str, y: &str) -> Vec<(f64, f64)> {
        let at = |name: &str| self.columns.iter().position(|column| column == name);
        let (Some(x), Some(y)) = (at(x), at(y)) else { return Vec::new() };
        self.rows.iter().map(|row| (row[x], row[y])).filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_file_drops_what_will_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let columns = vec![TIMESTEPS.to_owned(), "a".to_owned()];
        let mut metrics = MetricsFile::create(&path, columns).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{TIMESTEPS},a\n"), "there before any flush");
        for steps in [10.0, 20.0, 30.0] {
            metrics.row(&[("a", steps / 8.0), (TIMESTEPS, steps)]).unwrap();
        }
        metrics.row(&[("a", f64::NAN), (TIMESTEPS, 40.0)]).unwrap();
        metrics.flush().unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"50,cut").unwrap();
        let (mut metrics, table) = MetricsFile::resume(&path, 20).unwrap();
        assert_eq!(table.rows.len(), 2);
        metrics.row(&[(TIMESTEPS, 30.0)]).unwrap();
        metrics.flush().unwrap();
        let table = Table::read(&path).unwrap();
        assert_eq!(table.pairs(TIMESTEPS, "a"), [(10.0, 1.25), (20.0, 2.5)]);
        assert_eq!(table.rows.len(), 3);
        assert!(MetricsFile::create(&path, Vec::new()).is_err(), "overwrote a file");
    }
}
