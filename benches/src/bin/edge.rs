//! `edge FOLDER...`: what the policies of these run folders cost on microcontrollers, measured under qemu. It needs Debian's
//! gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm. Prints the table of docs/edge.md.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is a table")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use gbrl_core::error::{Error, Result};
use gbrl_core::export::{self, Details, EdgePolicy, Format, Order, Outputs, Quantize, Rows, binary, host, probes};
use gbrl_core::rl::env::{Action, Env};
use gbrl_core::rl::eval::{eval_seed, evaluate};
use gbrl_core::rl::policy::Policy;
use gbrl_edge::Work;

const EPISODES: usize = 100;
const EDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/edge");

/// Processor, machine of qemu, compiler flags, bytes of flash.
const PROCESSORS: [(&str, &str, &[&str], usize); 4] = [
    ("M0", "microbit", &["-mcpu=cortex-m0"], 256 << 10),
    ("M3", "mps2-an385", &["-mcpu=cortex-m3"], 4 << 20),
    ("M4F", "mps2-an386", &["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"], 4 << 20),
    ("M7", "mps2-an500", &["-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"], 4 << 20),
];
/// Instructions of the calibration in measure.c.
const CALIBRATION: f64 = 3e6;

fn main() -> ExitCode {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match table(&folders) {
        Ok(table) => {
            println!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("edge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn table(folders: &[PathBuf]) -> Result<String> {
    let mut out = String::from(
        "| policy | trees | leaves | flash | RAM | M0 | M3 | M4F | M7 | same action | return |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for folder in folders {
        let policy = Policy::load(folder.join("model.gbrl"), 0)?;
        let env_id = policy.training().map(|training| training.env.clone()).unwrap_or_default();
        let states = Rows::load(folder.join("states.safetensors"))?;
        let mut envs: Vec<Box<dyn Env>> = (0..16).map(|_| envs::make(&env_id)).collect::<Result<_>>()?;
        let before = evaluate(&policy, &mut envs, EPISODES, true, 0)?.mean();
        for quantize in [Quantize::None, Quantize::Int16, Quantize::Int8] {
            eprintln!("{env_id}, {} trees, {quantize}", policy.ensemble().trees().len());
            let order = Order { format: Format::C, quantize, value: false, name: "policy".into() };
            let exported = export::export(&policy, &order, &states)?;
            let edge = EdgePolicy::new(&policy, quantize, false)?;
            let after = play(&binary::to_bytes(&edge), &mut *envs::make(&env_id)?)?;
            let place = folder.join(format!("edge-{quantize}"));
            exported.write(&place)?;
            let agreement = exported.report.states.map_or(1.0, |states| states.agreement());
            let measured = measure(&policy, &edge, &states, &place)?;
            let flash = measured.iter().flatten().map(|m| m.flash).nth(2).unwrap_or(0);
            let ram = measured.iter().flatten().map(|m| m.stack).max().unwrap_or(0);
            let instructions: Vec<String> =
                measured.iter().map(|m| m.map_or("–".into(), |m| format!("{:.0}", m.most))).collect();
            let leaves = if quantize == Quantize::None { "float".into() } else { quantize.to_string() };
            let _ = writeln!(
                out,
                "| {env_id} | {} | {leaves} | {flash} | {ram} | {} | {:.2} % | {before:.3} → {after:.3} |",
                edge.n_trees(),
                instructions.join(" | "),
                100.0 * agreement,
            );
        }
    }
    Ok(out)
}

/// Mean return of the exported policy over the episodes that [`evaluate`] plays.
fn play(bytes: &[u8], env: &mut dyn Env) -> Result<f64> {
    let refused = |error: gbrl_edge::Error| Error::parameter("exported policy", error, "a decision");
    let policy = gbrl_edge::Policy::new(bytes).map_err(refused)?;
    let (mut codes, mut sums) = (vec![0; policy.n_codes()], vec![0; policy.n_sums()]);
    let mut work = Work { codes: &mut codes, sums: &mut sums };
    let mut obs = vec![0.0; policy.n_features()];
    let mut total = 0.0;
    let mut action = [0];
    for episode in 0..EPISODES {
        env.reset(eval_seed(0, episode as u64), &mut obs)?;
        loop {
            policy.act(&obs, &[], &mut work, &mut action).map_err(refused)?;
            let step = env.step(Action::Discrete(action[0] as u32), &mut obs)?;
            total += f64::from(step.reward);
            if step.terminated || step.truncated {
                break;
            }
        }
    }
    Ok(total / EPISODES as f64)
}

#[derive(Clone, Copy)]
struct Measured {
    flash: usize,
    stack: usize,
    most: f64,
}

/// On each processor; `None` where the policy does not fit.
fn measure(policy: &Policy, edge: &EdgePolicy, states: &Rows, place: &Path) -> Result<Vec<Option<Measured>>> {
    let details = Details::new(policy, "policy", Vec::new())?;
    let mut observations = states.observations.clone();
    observations.truncate(64 * edge.n_features);
    observations.extend(probes::neighbours(edge, &states.observations).observations);
    // A row costs flash too; 48 KiB of them fit everywhere.
    observations.truncate((48 << 10) / 4 / edge.n_features * edge.n_features);
    let rows = Rows { observations, masks: Vec::new() };
    let out = Outputs::of_bytes(&binary::to_bytes(edge), &rows)?;
    let n_rows = out.actions.len() / edge.action_len();
    let words = |name: &str, kind: &str, words: Vec<String>| {
        format!("static const {kind} {name}[] = {{{}}};\n", words.join(","))
    };
    let bits = |xs: &[f32]| xs.iter().map(|x| format!("{:#x}u", x.to_bits())).collect();
    // Repetitions that the 24-bit clock of the processor can count.
    let repeats = (2_000_000 / (100 * edge.n_trees() + 2000)).clamp(4, 200);
    let text = format!("#define N_ROWS {n_rows}u\n#define REPEATS {repeats}u\n")
        + &words("rows_obs", "uint32_t", bits(&rows.observations))
        + &words("rows_logits", "uint32_t", bits(&out.logits))
        + &words("rows_actions", "int32_t", out.actions.iter().map(|x| x.to_string()).collect());
    write(&place.join("rows.h"), &text)?;
    for name in ["start.c", "measure.c", "size.c", "link.ld"] {
        let from = Path::new(EDGE).join(name);
        std::fs::copy(&from, place.join(name)).map_err(|error| Error::file(&from, error))?;
    }
    let mut all = Vec::new();
    for (name, machine, flags, room) in PROCESSORS {
        let compile = |program: &str, more: &[&str]| -> Result<usize> {
            let mut gcc = Command::new("arm-none-eabi-gcc");
            gcc.current_dir(place).args(flags).args(["-mthumb", "-std=gnu99", "-O2", "-ffp-contract=off"]);
            gcc.args(["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-nostartfiles", "-T", "link.ld"]);
            gcc.args(["--specs=nano.specs", "--specs=nosys.specs", "-Wl,--no-warn-rwx-segments"]);
            gcc.args(host::defines(edge, &details)).args(more).args([
                "start.c",
                "policy.c",
                program,
                "-o",
                "program.elf",
            ]);
            output(&mut gcc)?;
            let sizes = output(Command::new("arm-none-eabi-size").current_dir(place).arg("program.elf"))?;
            let numbers: Vec<usize> = sizes.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            Ok(numbers[0] + numbers[1])
        };
        let flash = compile("size.c", &["-DWITH_POLICY"])? - compile("size.c", &[])?;
        if compile("measure.c", &[])? > room {
            all.push(None);
            continue;
        }
        let mut qemu = Command::new("qemu-system-arm");
        qemu.current_dir(place).args(["-M", machine, "-nographic", "-monitor", "none", "-serial", "none"]);
        qemu.args(["-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel", "program.elf"]);
        let run = qemu.output().map_err(|error| Error::device("qemu-system-arm", "starting", error))?;
        let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
        let number = |what: &str| -> Result<f64> {
            let line = said.lines().find_map(|line| line.trim().strip_prefix(what)?.trim().parse().ok());
            line.ok_or_else(|| Error::device(name, "measuring", format!("no `{what}` in: {said}")))
        };
        if number("wrong ")? != 0.0 {
            let reason = format!("{} of {n_rows} decisions differ", number("wrong ")?);
            return Err(Error::device(name, "running the exported C", reason));
        }
        let per_tick = CALIBRATION / number("calibration ")?;
        let most = number("most ")? * per_tick / repeats as f64;
        all.push(Some(Measured { flash, stack: number("stack ")? as usize, most }));
    }
    Ok(all)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| Error::file(path, error))
}

fn output(command: &mut Command) -> Result<String> {
    let device = command.get_program().to_string_lossy().into_owned();
    let run = command.output().map_err(|error| Error::device(&device, "starting", error))?;
    if run.status.success() {
        return Ok(String::from_utf8_lossy(&run.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&run.stderr);
    Err(Error::device(device, "compiling", said.lines().take(12).collect::<Vec<_>>().join("\n")))
}
