//! `gbrl export`.

use std::path::Path;
use std::process::Command;

use gbrl_core::export::json::Json;
use gbrl_core::rl::policy::Policy;
use gbrl_core::rng::Stream;
use serde_json::Value;

use super::{SMALL, run, train};

fn names(report: &Value) -> Vec<&str> {
    let files = report["files"].as_array().unwrap();
    files.iter().map(|file| file.as_str().unwrap().rsplit('/').next().unwrap()).collect()
}

#[test]
fn every_format_is_written_checked_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "--steps 4096 --out run");
    for (format, files, checked_by) in [
        ("c", &["cartpole.h", "cartpole.c"][..], "the C compiler of this machine"),
        ("rust", &["cartpole.rs", "cartpole.gbe"], "gbrl-edge"),
        ("bin", &["cartpole.gbe", "gbrl_edge.h", "gbrl_edge.c"], "gbrl-edge"),
        ("onnx", &["cartpole.onnx"], "gbrl-edge, on the same tables"),
        ("json", &["cartpole.json"], "the library, read back"),
    ] {
        let report = run(folder.path(), &format!("export run --format {format} --value --out {format} --json")).json();
        assert_eq!(names(&report), files);
        assert!(report["checked_by"].as_str().unwrap().starts_with(checked_by), "{report}");
        for what in ["states", "neighbours"] {
            assert_eq!((&report[what]["exact"], &report[what]["agreement"]), (&true.into(), &1.0.into()), "{report}");
        }
        assert!(report["states"]["rows"].as_u64() > Some(1000) && report["flash_bytes"].as_u64() > Some(0), "{report}");
        for file in report["files"].as_array().unwrap() {
            assert!(folder.path().join(file.as_str().unwrap()).is_file(), "{file}");
        }
    }
    let text = std::fs::read_to_string(folder.path().join("json/cartpole.json")).unwrap();
    let (read, saved) = (Json::read(&text, 1).unwrap(), Policy::load(folder.path().join("run/model.gbrl"), 1).unwrap());
    assert_eq!(read.ensemble(), saved.ensemble());
}

#[test]
fn a_quantised_policy_is_smaller_and_says_what_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "--steps 4096 --out run");
    let flash = |quantize: &str| {
        let args = format!("export run --format c --quantize {quantize} --name tiny --out {quantize} --json");
        let report = run(folder.path(), &args).json();
        assert_eq!(names(&report), ["tiny.h", "tiny.c"]);
        assert_eq!(report["states"]["exact"], quantize == "none");
        assert!(report["states"]["agreement"].as_f64().unwrap() > 0.9, "{report}");
        report["flash_bytes"].as_u64().unwrap()
    };
    assert!(flash("int8") < flash("int16") && flash("int16") < flash("none"));
    let page = run(folder.path(), "export run --format c --quantize int8 --out page").stdout;
    for part in
        ["int8 leaves", "bytes of tables", "  RAM  ", "on visited states, ", "the same action on ", "wrote page/"]
    {
        assert!(page.contains(part), "no '{part}' in {page}");
    }
    assert!(page.contains("gbrl compress run/model.gbrl"), "{page}");
}

#[test]
fn a_checkpoint_is_checked_on_the_states_of_its_run() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "--steps 1024 --out run");
    let report = run(folder.path(), "export run/checkpoints/1024.gbrl --format bin --json").json();
    let own = run(folder.path(), "export run --format bin --out own --json").json();
    assert_eq!((&report["states"], &report["states"]["exact"]), (&own["states"], &true.into()));
    std::fs::rename(folder.path().join("run/states.safetensors"), folder.path().join("moved")).unwrap();
    assert_eq!(run(folder.path(), "export run --format bin --json").json()["states"], Value::Null);
    let named = run(folder.path(), "export run --format bin --states moved --json").json();
    assert_eq!(named["states"], own["states"]);
}

#[test]
fn the_smallest_policy_that_plays_as_well_is_suggested() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "--steps 16384 --out run");
    let args = "export run --format c --quantize int16 --suggest";
    let report = run(folder.path(), &format!("{args} --json")).json();
    let few = &report["suggestion"];
    assert!(few["n_trees"].as_u64() < report["n_trees"].as_u64(), "{report}");
    assert!(few["flash_bytes"].as_u64() < report["flash_bytes"].as_u64(), "{report}");
    let page = run(folder.path(), args).stdout;
    let advice = format!("gbrl compress run/model.gbrl --trees {}", few["n_trees"]);
    assert!(page.contains(&advice), "no '{advice}' in {page}");
    let small = run(folder.path(), &format!("{} --out small.gbrl --json", &advice["gbrl ".len()..])).json();
    assert_eq!(small["n_trees"], few["n_trees"]);
    let exported = run(folder.path(), "export small.gbrl --format c --quantize int16 --json").json();
    assert_eq!(exported["flash_bytes"], few["flash_bytes"]);
    // States of one's own are the ones that the command fits to as well.
    std::fs::copy(folder.path().join("run/states.safetensors"), folder.path().join("mine")).unwrap();
    let page = run(folder.path(), &format!("{args} --states mine")).stdout;
    assert!(page.contains(&format!("{advice} --states mine")), "{page}");
}

#[test]
fn what_cannot_be_done_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "--steps 1024 --out run");
    run(folder.path(), "train Acrobot-v1 --n-envs 2 --steps 256 --set n_steps=64 --out other --json").json();
    for (args, message) in [
        ("run", "--format"),
        ("run --format cobol", "[possible values: c, rust, bin, onnx, wasm, json]"),
        ("run --format c --quantize int4", "[possible values: none, int16, int8]"),
        ("run --format json --quantize int8", "it reads back without loss"),
        ("run --format c --name 9lives", "name: expected a name of letters, digits and _ that begins with a letter"),
        ("nowhere --format c", "nowhere: No such file"),
        ("run/config.toml --format c", "run/config.toml: "),
        ("run --format c --states nowhere", "nowhere: No such file"),
        ("run --format c --states run/config.toml", "run/config.toml: "),
        ("run --format c --states other/states.safetensors", "F32 of shape [at least 1, 4], got F32 ["),
        ("run --format c --out run/model.gbrl", "run/model.gbrl"),
    ] {
        let ran = run(folder.path(), &format!("export {args}"));
        assert!(ran.code == Some(2) && ran.stderr.contains(message), "{args}: {}", ran.stderr);
    }
    assert!(!folder.path().join("export").exists(), "something was written");
    let adam = "train CartPole-v1 --n-envs 2 --steps 256 --set policy_optimizer=adam --out adam --json";
    run(folder.path(), adam).json();
    let refused = run(folder.path(), "export adam --format c");
    assert!(refused.code == Some(2) && refused.stderr.contains("Adam"), "{}", refused.stderr);
}

#[test]
#[ignore = "needs clang, lld and Node.js: cargo xtask edge runs it"]
fn wasm_is_written_and_comes_with_a_page_only_where_it_can_play() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "--steps 1024 --out run");
    let report = run(folder.path(), "export run --format wasm --json").json();
    assert_eq!(names(&report), ["cartpole.wasm", "cartpole.mjs", "cartpole.html"]);
    assert_eq!((&report["checked_by"], &report["states"]["exact"]), (&"Node.js".into(), &true.into()));
    run(folder.path(), &format!("train MountainCarContinuous-v0 {SMALL} --steps 256 --out car --json")).json();
    let report = run(folder.path(), "export car --format wasm --quantize int16 --json").json();
    assert_eq!(names(&report), ["mountaincarcontinuous.wasm", "mountaincarcontinuous.mjs"]);
    assert_eq!(report["checked_by"], "Node.js");
}

/// In a browser without a screen the page plays, and every one of its decisions is the policy's own.
#[test]
#[ignore = "needs clang, lld and a browser: cargo xtask edge runs it"]
fn page_plays_and_decides_as_the_policy_does() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "--steps 16384 --out run");
    run(folder.path(), "export run --format wasm --out demo --json").json();
    let played = play(&folder.path().join("demo/cartpole.html"), folder.path());
    assert_eq!(played["selfTest"], 0);
    let numbers = |name: &str| -> Vec<f32> {
        played[name].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
    };
    let (states, actions) = (numbers("states"), numbers("actions"));
    let lengths: f32 = numbers("lengths").iter().sum();
    assert_eq!((numbers("lengths").len(), lengths, states.len()), (3, actions.len() as f32, 4 * actions.len()));
    assert!(lengths > 100.0, "{lengths} steps in three episodes");
    let policy = Policy::load(folder.path().join("run/model.gbrl"), 1).unwrap();
    let mut expected = vec![0.0; actions.len()];
    policy.act(&states, &[], true, &mut Stream::new(0, "page", 0), &mut expected).unwrap();
    assert_eq!(actions, expected);
}

/// What the page says after three episodes.
fn play(page: &Path, folder: &Path) -> Value {
    let browser = std::env::var_os("GBRL_EDGE_BROWSER").unwrap_or_else(|| "chromium".into());
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
    command.args(["--virtual-time-budget=20000", "--dump-dom"]);
    let output = command.arg(format!("file://{}?episodes=3", page.display())).output().unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let said = dom.split_once("data-result=\"").and_then(|(_, rest)| rest.split_once('"'));
    let (json, _) = said.unwrap_or_else(|| panic!("no result: {dom}{}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str(&json.replace("&quot;", "\"")).unwrap()
}
