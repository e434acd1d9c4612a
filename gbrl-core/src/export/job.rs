//! One export from beginning to end: flat form, artefact, check, report.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::{Value, json};

use super::c::C;
use super::check::Disagreement;
use super::form::Form;
use super::host::Compiler;
use super::json::Json;
use super::loadable::Loadable;
use super::onnx::Onnx;
use super::program::Program;
use super::rust::Rust;
use super::wasm::{self, Wasm};
use super::{Artefact, Details, EdgePolicy, Exporter, Outputs, Quantize, Rows, binary, c, probes};
use crate::error::{Error, Result};
use crate::io::container;
use crate::rl::policy::Policy;

/// Recorded observations in the test vector inside an artefact.
const SAMPLES: usize = 4;
/// Rows that are decided on at a time.
const BATCH: usize = 1 << 16;

/// What an artefact is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// C99.
    C,
    /// The loadable form and a module for the crate gbrl-edge.
    Rust,
    /// The loadable form and its interpreter in C.
    Bin,
    /// ONNX.
    Onnx,
    /// WebAssembly.
    Wasm,
    /// JSON.
    Json,
}

impl Format {
    /// The names of all, as they are written.
    pub const NAMES: [&str; 6] = ["c", "rust", "bin", "onnx", "wasm", "json"];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Format::NAMES[*self as usize])
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let all = [Format::C, Format::Rust, Format::Bin, Format::Onnx, Format::Wasm, Format::Json];
        let found = Format::NAMES.iter().position(|known| *known == name).map(|i| all[i]);
        found.ok_or_else(|| Error::unknown_name("format", name, Format::NAMES))
    }
}

/// What is to be exported, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// What the artefact is written in.
    pub format: Format,
    /// How leaves are stored.
    pub quantize: Quantize,
    /// Whether the value goes along.
    pub value: bool,
    /// In front of every public name.
    pub name: String,
}

/// An artefact and how it stood its check.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// The files.
    pub artefact: Artefact,
    /// What they cost, and in what they differ.
    pub report: Report,
}

/// What an artefact costs, and in what it differs from the policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What it is written in.
    pub format: Format,
    /// How leaves are stored.
    pub quantize: Quantize,
    /// Trees.
    pub n_trees: usize,
    /// Bytes of constant tables, which can stay in flash.
    pub flash_bytes: usize,
    /// Bytes of working memory, on the stack in C: there is no other.
    pub ram_bytes: usize,
    /// The most comparisons of a decision: keys and nodes.
    pub comparisons: usize,
    /// Additions of a decision.
    pub additions: usize,
    /// Who ran the artefact, or who stood in for it and why.
    pub run_by: String,
    /// On recorded states, if there were any.
    pub states: Option<Disagreement>,
    /// On every threshold's neighbours and special values.
    pub neighbours: Disagreement,
}

impl Rows {
    fn check(&self, edge: &EdgePolicy) -> Result<()> {
        let (width, flags) = (edge.n_features, edge.mask_len());
        if !self.observations.len().is_multiple_of(width) {
            let got = format!("{} numbers", self.observations.len());
            return Err(Error::shape("recorded states", format!("[n, {width}]"), got));
        }
        let n = self.observations.len() / width;
        if !(self.masks.is_empty() || self.masks.len() == n * flags) {
            return Err(Error::shape(
                "recorded masks",
                format!("[{n}, {flags}]"),
                format!("{} flags", self.masks.len()),
            ));
        }
        Ok(())
    }

    /// Parts of at most `n` rows.
    fn parts(&self, edge: &EdgePolicy, n: usize) -> impl Iterator<Item = Rows> {
        let flags = if self.masks.is_empty() { 0 } else { edge.mask_len() };
        self.observations.chunks(n * edge.n_features).enumerate().map(move |(i, part)| {
            let rows = part.len() / edge.n_features;
            let masks = self.masks[i * n * flags..][..rows * flags].to_vec();
            Rows { observations: part.to_vec(), masks }
        })
    }
}

/// Exports `policy` and runs the artefact on `states` and on every threshold's neighbours.
///
/// # Errors
/// As [`EdgePolicy::new`]; class `Value` for a name that is no identifier or states of another width; class `Device`
/// when a compiler fails, or clang is missing for WebAssembly (without another compiler or Node.js gbrl-edge stands in, and
/// the report says so); class `Format` when the artefact decides differently although nothing was
/// quantised.
pub fn export(policy: &Policy, order: &Order, states: &Rows) -> Result<Exported> {
    if order.format == Format::Json && order.quantize != Quantize::None {
        let condition = "in JSON, which holds the policy as it is";
        return Err(Error::unsupported("quantising", condition, "it reads back without loss"));
    }
    let edge = EdgePolicy::new(policy, order.quantize, order.value)?;
    states.check(&edge)?;
    let samples = probes::samples(&edge, &states.observations, SAMPLES);
    let details = Details::new(policy, &order.name, samples)?;
    let artefact = artefact(policy, order, &edge, &details)?;
    let runner = Runner::new(order.format, &edge, &details, &artefact)?;
    let check = |rows: &Rows| -> Result<Disagreement> {
        let mut total = Disagreement { exact: true, ..Disagreement::default() };
        for part in rows.parts(&edge, BATCH) {
            let library = Outputs::of_library(policy, &edge, &part)?;
            let got = runner.run(&edge, &part)?;
            total.add(&Disagreement::between(&edge, &library, &got));
        }
        if order.quantize == Quantize::None {
            total.must_be_exact(&artefact.files[0].0)?;
        }
        Ok(total)
    };
    let neighbours = check(&probes::neighbours(&edge, &states.observations))?;
    let recorded = if states.observations.is_empty() { None } else { Some(check(states)?) };
    let (comparisons, additions) = operations(&edge);
    let report = Report {
        format: order.format,
        quantize: order.quantize,
        n_trees: edge.n_trees(),
        flash_bytes: size(order.format, &edge, &artefact),
        ram_bytes: edge.ram_bytes(),
        comparisons,
        additions,
        run_by: runner.to_string(),
        states: recorded,
        neighbours,
    };
    Ok(Exported { artefact, report })
}

/// What [`Report::flash_bytes`] of a policy would be, without running it.
///
/// # Errors
/// As [`export`].
pub fn flash_bytes(policy: &Policy, order: &Order) -> Result<usize> {
    let edge = EdgePolicy::new(policy, order.quantize, order.value)?;
    let details = Details::new(policy, &order.name, probes::samples(&edge, &[], SAMPLES))?;
    Ok(size(order.format, &edge, &artefact(policy, order, &edge, &details)?))
}

fn artefact(policy: &Policy, order: &Order, edge: &EdgePolicy, details: &Details) -> Result<Artefact> {
    match order.format {
        Format::C => C.export(edge, details),
        Format::Rust => Rust.export(edge, details),
        Format::Bin => Loadable.export(edge, details),
        Format::Onnx => Onnx.export(edge, details),
        Format::Wasm => Wasm.export(edge, details),
        Format::Json => Json::new(policy)?.export(edge, details),
    }
}

/// Bytes of what a device keeps: tables of C, else the loadable form or the only file that matters.
fn size(format: Format, edge: &EdgePolicy, artefact: &Artefact) -> usize {
    match format {
        Format::C => c::table_bytes(edge),
        _ => artefact.files.iter().find(|(name, _)| name.ends_with(".gbe")).unwrap_or(&artefact.files[0]).1.len(),
    }
}

impl Exported {
    /// Writes the files into `folder`, which is made if it does not exist; gives their paths.
    ///
    /// # Errors
    /// Class `Io` or `NotFound`.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
        let mut paths = Vec::new();
        for (name, content) in &self.artefact.files {
            let path = folder.join(name);
            container::write_atomic(&path, content)?;
            paths.push(path);
        }
        Ok(paths)
    }
}

/// Who runs an artefact.
enum Runner {
    /// A program of its own, and who made or runs it.
    Program(Program, &'static str),
    /// The library, which has read it back.
    Library(Box<Policy>),
    /// gbrl-edge on the same tables, and why.
    Edge(Vec<u8>, &'static str),
}

impl Runner {
    fn new(format: Format, edge: &EdgePolicy, details: &Details, artefact: &Artefact) -> Result<Self> {
        let stand_in = |why| Runner::Edge(binary::to_bytes(edge), why);
        Ok(match format {
            Format::C => match Compiler::find() {
                None => stand_in("for want of a C compiler"),
                Some(compiler) => {
                    Runner::Program(compiler.program(edge, details, artefact)?, "the C compiler of this machine")
                }
            },
            Format::Rust | Format::Bin => stand_in(""),
            Format::Wasm if wasm::has_node() => Runner::Program(wasm::program(edge, details, artefact)?, "Node.js"),
            Format::Wasm => stand_in("for want of Node.js"),
            Format::Onnx => stand_in("on the same tables: run the file itself with onnxruntime"),
            Format::Json => {
                let text = String::from_utf8_lossy(&artefact.files[0].1);
                Runner::Library(Box::new(Json::read(&text, 1)?))
            }
        })
    }

    fn run(&self, edge: &EdgePolicy, rows: &Rows) -> Result<Outputs> {
        match self {
            Runner::Program(program, _) => program.run(edge, rows),
            Runner::Library(policy) => Outputs::of_library(policy, edge, rows),
            Runner::Edge(bytes, _) => Outputs::of_bytes(bytes, rows),
        }
    }
}

impl fmt::Display for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Runner::Program(_, who) => f.write_str(who),
            Runner::Library(_) => f.write_str("the library, read back"),
            Runner::Edge(_, "") => f.write_str("gbrl-edge"),
            Runner::Edge(_, why) => write!(f, "gbrl-edge, {why}"),
        }
    }
}

/// Comparisons and additions of the longest decision.
fn operations(edge: &EdgePolicy) -> (usize, usize) {
    let keys = edge
        .slots
        .iter()
        .map(|slot| slot.keys.len().ilog2() as usize + 1 + usize::from(!slot.keys.len().is_power_of_two()));
    let (mut comparisons, mut additions): (usize, usize) = (keys.sum(), 0);
    let (mut size, mut child) = (0, 0);
    for run in &edge.runs {
        additions += (run.n_trees * run.width) as usize;
        match run.form {
            Form::Oblivious(depth) => comparisons += run.n_trees as usize * usize::from(depth),
            Form::Binary => {
                for &n in &edge.sizes[size..size + run.n_trees as usize] {
                    let links = &edge.children[child..child + usize::from(n)];
                    let mut depth = vec![1usize; links.len()];
                    for (i, link) in links.iter().enumerate() {
                        for to in link {
                            if let crate::tree::Child::Node(to) = to {
                                depth[*to as usize] = depth[i] + 1;
                            }
                        }
                    }
                    comparisons += depth.into_iter().max().unwrap_or(0);
                    child += usize::from(n);
                }
                size += run.n_trees as usize;
            }
        }
    }
    (comparisons, additions)
}

impl Report {
    /// The report as JSON, with the files that were written.
    pub fn to_json(&self, files: &[PathBuf]) -> Value {
        let difference = |d: &Disagreement| {
            json!({"rows": d.rows, "agreement": d.agreement(), "logit_error": d.logit_error,
                   "action_error": d.action_error, "value_error": d.value_error, "exact": d.exact})
        };
        json!({
            "files": files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
            "format": self.format.to_string(),
            "quantize": self.quantize.to_string(),
            "n_trees": self.n_trees,
            "flash_bytes": self.flash_bytes,
            "ram_bytes": self.ram_bytes,
            "comparisons": self.comparisons,
            "additions": self.additions,
            "checked_by": self.run_by,
            "states": self.states.as_ref().map(difference),
            "neighbours": difference(&self.neighbours),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leaves = match self.quantize {
            Quantize::None => "float".to_owned(),
            other => other.to_string(),
        };
        writeln!(f, "  trees       {}, {leaves} leaves", self.n_trees)?;
        match self.format {
            Format::C => writeln!(f, "  flash       {} bytes of tables, and about 400 of code", self.flash_bytes)?,
            Format::Rust | Format::Bin => writeln!(f, "  flash       {} bytes, and the interpreter", self.flash_bytes)?,
            _ => writeln!(f, "  file        {} bytes", self.flash_bytes)?,
        }
        if !matches!(self.format, Format::Onnx | Format::Json) {
            writeln!(f, "  RAM         {} bytes to decide in, and a few words of stack", self.ram_bytes)?;
        }
        writeln!(f, "  a decision  at most {} comparisons and {} additions", self.comparisons, self.additions)?;
        writeln!(f, "  checked by  {}", self.run_by)?;
        let line = |f: &mut fmt::Formatter<'_>, what: &str, d: &Disagreement| {
            if d.exact {
                return writeln!(f, "  {what} {}: every bit as predict() says", d.rows);
            }
            let same = 100.0 * d.agreement();
            write!(
                f,
                "  {what} {}: the same action on {same:.2} %, logits off by at most {:.2e}",
                d.rows, d.logit_error
            )?;
            if d.action_error > 0.0 {
                write!(f, ", actions by {:.2e} of their range", d.action_error)?;
            }
            if d.value_error > 0.0 {
                write!(f, ", values by {:.2e}", d.value_error)?;
            }
            writeln!(f)
        };
        match &self.states {
            Some(states) => line(f, "on visited states,", states)?,
            None => writeln!(f, "  on visited states: there are none; --states FILE names some")?,
        }
        line(f, "on every threshold's neighbours,", &self.neighbours)
    }
}
