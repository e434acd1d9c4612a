//! `gbrl export`: a policy as a program of its own.

use std::path::{Path, PathBuf};

use gbrl_core::export::{self, Format, Order, Quantize, Rows};
use gbrl_core::rl::policy::Policy;
use serde_json::json;

use crate::failure::{Done, Failure};
use crate::train::{run_folder, summary::shell};
use crate::{compress, output, text};

/// Turn a policy into C, Rust, ONNX, WebAssembly or JSON that decides by itself
///
/// Normalisation, trees, action mask and action head are inside. Before the files are written the artefact decides on
/// the run's recorded states and on every threshold's neighbours; without --quantize a single bit that differs from
/// predict() is an error.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Model file, checkpoint, or the folder of a run
    model: PathBuf,
    /// c: C99 (one .h, one .c); rust: a module for the crate gbrl-edge; bin: loadable bytes and their interpreter in C;
    /// onnx; wasm: needs clang and lld; json: reads back without loss
    #[arg(long, value_parser = Format::NAMES)]
    format: String,
    /// Leaves as small integers: less flash, no floating point in a discrete decision
    #[arg(long, default_value = "none", value_parser = Quantize::NAMES)]
    quantize: String,
    /// Export the value of a state too
    #[arg(long)]
    value: bool,
    /// In front of every public name, and the files' name; the environment's name if not given
    #[arg(long, value_name = "PREFIX")]
    name: Option<String>,
    /// Recorded states for the check; states.safetensors beside the model if not given
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
    /// Seek the fewest trees that lose at most 1 % of the return, as `gbrl compress` does, and say what they would cost
    #[arg(long)]
    suggest: bool,
    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = "export")]
    out: PathBuf,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  gbrl export runs/CartPole-v1/ppo-default-seed0 --format c
  gbrl export model.gbrl --format c --quantize int16 --name pole --out firmware/policy
  gbrl export runs/CartPole-v1/ppo-default-seed0 --format wasm --out demo
docs/edge.md leads from training to a microcontroller.";

/// A page that plays with the policy.
const PAGE: &str = include_str!("export/cartpole.html");
const PAGE_ENV: &str = "CartPole-v1";

/// Runs the command.
pub fn run(args: &Args) -> Result<Done, Failure> {
    let path = run_folder::model_file(&args.model);
    let policy = Policy::load(&path, 0)?;
    let env = policy.training().map(|training| training.env.clone());
    let order = Order {
        format: args.format.parse()?,
        quantize: args.quantize.parse()?,
        value: args.value,
        name: args.name.clone().unwrap_or_else(|| export::name_of(&policy)),
    };
    let left = run_folder::states_file(&path);
    let states = match args.states.as_ref().or(left.is_file().then_some(&left)) {
        Some(path) => Rows::load(path, policy.head().n_features())?,
        None => Rows::default(),
    };
    let mut exported = export::export(&policy, &order, &states)?;
    if order.format == Format::Wasm && env.as_deref() == Some(PAGE_ENV) {
        let page = page(&exported.artefact.files[0].1, exported.report.n_trees);
        exported.artefact.files.push((format!("{}.html", order.name), page.into_bytes()));
    }
    let paths = exported.write(&args.out)?;
    let report = &exported.report;
    let few = if args.suggest { compress::suggestion(&policy, &states)? } else { None };
    let few = few.map(|few| Ok::<_, Failure>((few.ensemble().trees().len(), export::flash_bytes(&few, &order)?)));
    let few = few.transpose()?;
    if args.json {
        let mut page = report.to_json(&paths);
        page["model"] = json!(path.display().to_string());
        page["suggestion"] =
            json!(few.map(|(n_trees, flash_bytes)| json!({"n_trees": n_trees, "flash_bytes": flash_bytes})));
        output::print(&page.to_string())?;
        return Ok(Done::Well);
    }
    let mut page = format!("{} as {}\n\n{report}", path.display(), order.format);
    page.push_str(&advice(args, &path, few));
    for (path, (_, content)) in paths.iter().zip(&exported.artefact.files) {
        page.push_str(&format!("  wrote {} ({})\n", path.display(), text::size(content.len() as u64)));
    }
    output::print(&page)?;
    Ok(Done::Well)
}

/// How the policy becomes smaller.
fn advice(args: &Args, model: &Path, few: Option<(usize, usize)>) -> String {
    let model = shell(model);
    let states = args.states.as_deref().map(|file| format!(" --states {}", shell(file))).unwrap_or_default();
    match few {
        Some((n, flash)) => format!(
            "  fewer trees {n} lose at most 1 % of the return and take {flash} bytes: gbrl compress {model} --trees {n}{states}\n\n"
        ),
        None if args.suggest => "  fewer trees found none that play as well, or no environment to play in\n\n".into(),
        None => format!("  fewer trees --suggest says how few play as well; gbrl compress {model} makes them\n\n"),
    }
}

/// The page with the module inside, so that it opens from a disk.
fn page(wasm: &[u8], n_trees: usize) -> String {
    PAGE.replace("WASM_BASE64", &base64(wasm)).replace("N_TREES", &n_trees.to_string())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * i)) as usize & 63]);
            out.push(if i > group.len() { '=' } else { digit });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_text() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
