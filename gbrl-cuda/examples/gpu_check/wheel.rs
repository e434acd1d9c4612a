//! The Python package beside this program: installed where nothing else is, it learns on the GPU what it learns on the
//! processor.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::{Args, Skipped};

/// Two short runs whose models must be the same bytes.
const SCRIPT: &str = r#"
import sys
from gbrl_rs import PPO
def model(device, path):
    ppo = PPO("MlpPolicy", "CartPole-v1", n_steps=64, n_epochs=2, seed=0, device=device)
    ppo.learn(256)
    ppo.save_policy(path)
    return open(path, "rb").read()
ours, theirs = model(sys.argv[1], sys.argv[2]), model("cpu", sys.argv[2])
sys.exit("the models differ" if ours != theirs else 0)
"#;

/// Installs the wheel in the folder of this program and runs it, where there is one.
pub fn run(args: &Args, skipped: &mut Skipped) -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let folder = program.parent().unwrap_or(Path::new("."));
    let files = folder.read_dir()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut wheels: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "whl")).collect();
    wheels.sort();
    let Some(wheel) = wheels.pop() else {
        skipped.add("the Python package", "no wheel beside this program: cargo xtask gpu-check --wheel");
        return Ok(());
    };
    let venv = std::env::temp_dir().join(format!("gpu-check-{}", std::process::id()));
    let python = venv.join("bin/python");
    let made = output(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    let installed =
        made.and_then(|_| output(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).arg(&wheel)));
    let outcome = match installed {
        Err(error) => {
            skipped.add("the Python package", error);
            Ok(())
        }
        Ok(_) => {
            let device = format!("cuda:{}", args.device);
            let model = venv.join("model.gbrl");
            output(Command::new(&python).args(["-c", SCRIPT, &device]).arg(model)).map(|_| {
                println!("* the Python package learns on the GPU what it learns on the processor, byte for byte");
            })
        }
    };
    let _ = std::fs::remove_dir_all(&venv);
    outcome.map_err(Into::into)
}

/// What a command that has to succeed gives.
fn output(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(output),
        false => {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(errors.lines().last().unwrap_or("it failed and did not say why").to_owned())
        }
    }
}
