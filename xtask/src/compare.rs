//! `cargo xtask compare`: the same work done by us and by our peers, in turn, and a page generated from the results.
//!
//! plan says what is compared, measure runs it, results is what docs/benchmarks.json holds, render makes the page.

mod machine;
mod measure;
pub mod peers;
mod plan;
mod render;
mod results;

use anyhow::{Result, bail};

use crate::process;
use measure::Runner;
use peers::Peers;
use plan::Plan;
use results::Results;

/// Arguments of `cargo xtask compare`.
#[derive(clap::Args)]
pub struct Args {
    /// Smaller shapes and fewer rounds: a first look, marked as such on the page.
    #[arg(long)]
    quick: bool,
    /// Measure only this section, keep the others as recorded; may be given several times.
    #[arg(long, value_name = "SECTION")]
    only: Vec<String>,
    /// Leave this peer out; may be given several times.
    #[arg(long, value_name = "NAME")]
    skip_peers: Vec<String>,
    /// Write the page anew from docs/benchmarks.json and the notes, measuring nothing.
    #[arg(long)]
    render_only: bool,
    /// Print the sections and stop.
    #[arg(long)]
    list: bool,
}

impl Args {
    /// The command line as one would repeat it.
    fn shown(&self) -> String {
        let mut words = vec!["cargo xtask compare".to_owned()];
        words.extend(self.quick.then(|| "--quick".to_owned()));
        words.extend(self.only.iter().map(|section| format!("--only {section}")));
        words.extend(self.skip_peers.iter().map(|peer| format!("--skip-peers {peer}")));
        words.join(" ")
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let plan = Plan::new(args.quick);
    if args.list {
        for section in &plan.sections {
            println!("{:<16}{}", section.name, section.title);
        }
        return Ok(());
    }
    let mut results = Results::load()?;
    if !args.render_only {
        measure(args, &plan, &mut results)?;
    }
    render::write_page(&plan, &results)
}

fn measure(args: &Args, plan: &Plan, results: &mut Results) -> Result<()> {
    if let Some(unknown) = args.only.iter().find(|name| !plan.sections.iter().any(|section| section.name == **name)) {
        bail!("no section is called `{unknown}`; `cargo xtask compare --list` prints them");
    }
    if let Some(unknown) = args.skip_peers.iter().find(|name| !peers::NAMES.contains(&name.as_str())) {
        bail!("no peer is called `{unknown}`; there are {}", peers::NAMES.join(", "));
    }
    process::run(process::cargo().args(["build", "--release", "--locked", "-p", "gbrl-cli"]))?;
    let peers = Peers::install(&args.skip_peers)?;
    let runner = Runner::new(&peers)?;
    for section in &plan.sections {
        if !args.only.is_empty() && !args.only.iter().any(|name| name == section.name) {
            continue;
        }
        println!("\n━━ {}", section.title);
        let circumstances = machine::circumstances(args.quick, &args.shown(), peers.versions())?;
        if circumstances.load > 0.5 {
            println!("the machine is busy (load {:.1}): figures will be too high", circumstances.load);
        }
        let lines = section.pairs.iter().map(|pair| runner.measure(pair, section.rounds)).collect();
        results.sections.insert(section.name.to_owned(), results::Section { circumstances, lines });
        // Kept after every section: the whole takes a while, and a later section may be interrupted.
        results.save()?;
    }
    Ok(())
}
