//! Exported C on microcontrollers: compiled by arm-none-eabi-gcc, run by qemu, which counts instructions.
//!
//! With `-icount shift=0` qemu's clock advances by one step for each instruction. The processor's own timer reads that
//! clock, and a loop of a known number of instructions tells how many of them one tick is.

use std::path::Path;
use std::process::Command;

use gbrl_core::error::{Error, Result};
use gbrl_core::export::c::C;
use gbrl_core::export::{Details, EdgePolicy, Exporter, Outputs, Rows, binary, host};

/// Debian's packages that a board needs.
pub const PACKAGES: [&str; 3] = ["gcc-arm-none-eabi", "libnewlib-arm-none-eabi", "qemu-system-arm"];

/// Rows, at most, whose instructions and stack are measured; all are decided on.
const TIMED: usize = 256;
/// Instructions of the calibration in measure.c.
const CALIBRATION: f64 = 3e6;
/// What is around a policy: the start, the measurement, a program with and without the policy, the memory's map.
const SOURCES: [(&str, &str); 4] = [
    ("start.c", include_str!("../edge/start.c")),
    ("measure.c", include_str!("../edge/measure.c")),
    ("size.c", include_str!("../edge/size.c")),
    ("link.ld", include_str!("../edge/link.ld")),
];

/// A processor, as qemu has it.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// As people call it.
    pub name: &'static str,
    machine: &'static str,
    flags: &'static [&'static str],
    flash: usize,
}

/// The processors that are measured, small ones first.
pub const BOARDS: [Board; 4] = [
    Board { name: "M0", machine: "microbit", flags: &["-mcpu=cortex-m0"], flash: 256 << 10 },
    Board { name: "M3", machine: "mps2-an385", flags: &["-mcpu=cortex-m3"], flash: 4 << 20 },
    Board {
        name: "M4F",
        machine: "mps2-an386",
        flags: &["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
        flash: 4 << 20,
    },
    Board {
        name: "M7",
        machine: "mps2-an500",
        flags: &["-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
        flash: 4 << 20,
    },
];

/// What a policy costs on a processor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Bytes that a program grows by, code and tables.
    pub flash: usize,
    /// Bytes of stack that a decision writes to, at most.
    pub ram: usize,
    /// Instructions of the longest decision.
    pub instructions: usize,
}

/// A policy in C and rows that it is to decide on, with what has to come out.
pub struct Firmware {
    folder: tempfile::TempDir,
    defines: Vec<String>,
    source: String,
    n_rows: usize,
    repeats: usize,
}

impl Firmware {
    /// `rows` and what gbrl-edge says about them become part of the program.
    ///
    /// # Errors
    /// As the exporter; class `Io` without a place for temporary files.
    pub fn new(policy: &EdgePolicy, details: &Details, rows: &Rows) -> Result<Self> {
        let out = Outputs::of_bytes(&binary::to_bytes(policy), rows)?;
        let folder = tempfile::tempdir().map_err(|error| Error::file(std::env::temp_dir(), error))?;
        let write = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).map_err(|error| Error::file(path, error))
        };
        for (name, content) in C.export(policy, details)?.files {
            write(&name, &content)?;
        }
        SOURCES.iter().try_for_each(|(name, text)| write(name, text.as_bytes()))?;
        let n_rows = rows.observations.len() / policy.n_features;
        // So often that one tick, some forty instructions, does not matter.
        let repeats = (200_000 / (100 * policy.n_trees() + 2000)).clamp(2, 50);
        let array = |name: &str, kind: &str, words: Vec<String>| match words.is_empty() {
            true => String::new(),
            false => format!("static const {kind} {name}[] = {{{}}};\n", words.join(",")),
        };
        let bits = |xs: &[f32]| xs.iter().map(|x| format!("{:#x}u", x.to_bits())).collect::<Vec<_>>();
        let action = |&x: &f64| if policy.is_box() { (x as f32).to_bits() } else { x as i32 as u32 };
        let text = format!("#define N_ROWS {n_rows}u\n#define N_TIMED {}u\n", n_rows.min(TIMED))
            + &format!("#define HAS_MASKS {}\n", u8::from(!rows.masks.is_empty()))
            + &array("rows_obs", "uint32_t", bits(&rows.observations))
            + &array("rows_masks", "uint8_t", rows.masks.iter().map(|&flag| u8::from(flag).to_string()).collect())
            + &array("rows_logits", "uint32_t", bits(&out.logits))
            + &array("rows_values", "uint32_t", bits(&out.values))
            + &array("rows_actions", "uint32_t", out.actions.iter().map(|x| format!("{:#x}u", action(x))).collect());
        write("rows.h", text.as_bytes())?;
        let source = format!("{}.c", details.prefix);
        Ok(Firmware { folder, defines: host::defines(policy, details), source, n_rows, repeats })
    }

    /// Whether a processor gives the expected bits; `false` where the program does not fit.
    ///
    /// # Errors
    /// Class `Device` for other bits, or without the compiler or qemu.
    pub fn check(&self, board: &Board) -> Result<bool> {
        Ok(self.run(board, 0)?.is_some())
    }

    /// What the policy costs on a processor that gives the expected bits; `None` where the program does not fit.
    ///
    /// # Errors
    /// Class `Device` for other bits, or without the compiler or qemu.
    pub fn cost(&self, board: &Board) -> Result<Option<Cost>> {
        let flash = self.compile(board, "size.c", &["-DWITH_POLICY"])? - self.compile(board, "size.c", &[])?;
        let Some(said) = self.run(board, self.repeats)? else { return Ok(None) };
        let per_tick = CALIBRATION / number(board, &said, "calibration ")?;
        let most = number(board, &said, "most ")? * per_tick / self.repeats as f64;
        Ok(Some(Cost { flash, ram: number(board, &said, "stack ")? as usize, instructions: most.round() as usize }))
    }

    /// What the program said, if it fits.
    fn run(&self, board: &Board, repeats: usize) -> Result<Option<String>> {
        if self.compile(board, "measure.c", &[&format!("-DREPEATS={repeats}")])? > board.flash {
            return Ok(None);
        }
        let mut qemu = Command::new("qemu-system-arm");
        qemu.current_dir(self.path()).args(["-M", board.machine, "-nographic", "-monitor", "none", "-serial", "none"]);
        qemu.args(["-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel", "program.elf"]);
        let run = qemu.output().map_err(|error| Error::device("qemu-system-arm", "starting", error))?;
        let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
        let wrong = number(board, &said, "wrong ")?;
        if wrong != 0.0 {
            let reason = format!("{wrong} of {} decisions and the self-test differ", self.n_rows);
            return Err(Error::device(board.name, "running the exported C", reason));
        }
        Ok(Some(said))
    }

    /// Compiles the policy and `program` into program.elf: bytes of flash.
    fn compile(&self, board: &Board, program: &str, more: &[&str]) -> Result<usize> {
        let mut gcc = Command::new("arm-none-eabi-gcc");
        gcc.current_dir(self.path()).args(board.flags).args(["-mthumb", "-std=gnu99", "-O2", "-ffp-contract=off"]);
        gcc.args(["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-nostartfiles", "-T", "link.ld"]);
        gcc.args(["--specs=nano.specs", "--specs=nosys.specs", "-Wl,--no-warn-rwx-segments"]);
        gcc.args(&self.defines).args(more).args(["start.c", &self.source, program, "-o", "program.elf"]);
        output(&mut gcc)?;
        let sizes = output(Command::new("arm-none-eabi-size").current_dir(self.path()).arg("program.elf"))?;
        // Under a line of names: text, data.
        let numbers: Vec<usize> = sizes.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        Ok(numbers.iter().take(2).sum())
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The number behind `what` on a line of its own.
fn number(board: &Board, said: &str, what: &str) -> Result<f64> {
    let found = said.lines().find_map(|line| line.trim().strip_prefix(what)?.trim().parse().ok());
    found.ok_or_else(|| Error::device(board.name, "running the exported C", format!("no `{what}` in: {said}")))
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
