//! The preset `paper` against the reference's hyper-parameters, value by value.

use std::process::Command;

use toml::{Table, Value};

const REFERENCE: &str = include_str!("data/hyperparameters.toml");

/// The reference's name, ours, and how its value is written here.
const NAMES: [(&str, &str); 24] = [
    ("total_timesteps", "total_timesteps"),
    ("num_envs", "n_envs"),
    ("n_steps", "n_steps"),
    ("batch_size", "batch_size"),
    ("n_epochs", "n_epochs"),
    ("gamma", "gamma"),
    ("gae_lambda", "gae_lambda"),
    ("ent_coef", "ent_coef"),
    ("vf_coef", "vf_coef"),
    ("clip_range", "clip_range"),
    ("clip_range_vf", "clip_range_vf"),
    ("target_kl", "target_kl"),
    ("normalize_advantage", "normalize_advantage"),
    ("norm_obs", "norm_obs"),
    ("norm_reward", "norm_reward"),
    ("policy_lr", "policy_lr"),
    ("value_lr", "value_lr"),
    ("max_policy_grad_norm", "max_policy_grad_norm"),
    ("max_value_grad_norm", "max_value_grad_norm"),
    ("max_depth", "max_depth"),
    ("min_data_in_leaf", "min_data_in_leaf"),
    ("grow_policy", "grow_policy"),
    ("split_score_func", "split_score"),
    ("generator_type", "bin_strategy"),
];

/// Keys that describe the run or follow from others; those that are settings are compared by hand below.
const HANDLED: [&str; 22] = [
    "id",
    "algo",
    "model",
    "domain",
    "envs",
    "source",
    "wrappers",
    "explicit",
    "paper_table2",
    "notes",
    // Threads of the reference; ours change no result.
    "par_th",
    "clip_range_schedule",
    "policy_lr_schedule",
    "value_lr_schedule",
    "n_bins",
    "control_variates",
    "feature_weights",
    "tree_optimizer",
    "shared_tree_struct",
    "num_trees_shared",
    "log_std_init",
    "log_std_lr",
];

/// The resolved settings, as the program prints them.
fn preset(env: &str) -> Table {
    let output = Command::new(env!("CARGO_BIN_EXE_gbrl")).args(["presets", "paper", "--env", env]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|n| n as f64))
}

fn same(a: &Value, b: &Value) -> bool {
    a == b || number(a).is_some_and(|a| number(b) == Some(a))
}

#[test]
fn paper_is_the_reference() {
    let reference: Table = REFERENCE.parse().unwrap();
    let runs = reference["run"].as_array().unwrap();
    assert_eq!(runs.len(), 6);
    for run in runs {
        let run = run.as_table().unwrap();
        let env = run["envs"][0].as_str().unwrap().replace("LunarLander-v2", "LunarLander-v3");
        let ours = preset(&env);
        for (theirs, name) in NAMES {
            assert!(same(&run[theirs], &ours[name]), "{env}, {name}: {} is not {}", ours[name], run[theirs]);
        }
        let known = |key: &String| {
            key == "log_std_lr_schedule"
                || HANDLED.contains(&key.as_str())
                || NAMES.iter().any(|(theirs, _)| theirs == key)
        };
        let missed: Vec<_> = run.keys().filter(|key| !known(key)).collect();
        assert!(missed.is_empty(), "{env}: the reference also sets {missed:?}");
        for schedule in ["clip_range_schedule", "policy_lr_schedule", "value_lr_schedule"] {
            assert_eq!(run[schedule].as_str(), Some("const"), "{env}: {schedule}");
        }
        // It counts thresholds, we count bins, and edges are its own at each step.
        assert_eq!(ours["n_bins"].as_integer(), run["n_bins"].as_integer().map(|n| n + 1));
        assert_eq!(ours["edges"].as_str(), Some("step"));
        assert_eq!(ours["shared_structure"], run["shared_tree_struct"]);
        assert_eq!(ours["control_variates"], run["control_variates"]);
        assert_eq!((run["feature_weights"].as_str(), ours["feature_weights"].as_str()), (Some("none"), Some("")));
        assert_eq!(run["tree_optimizer"].as_str(), Some("sgd"), "the only one a trainer makes");
        if run.contains_key("log_std_init") {
            assert!(same(&run["log_std_init"], &ours["log_std_init"]));
            assert_eq!(run["log_std_lr_schedule"].as_str(), Some("linear 0.0017 -> 0.000475"));
            assert_eq!(ours["log_std_lr"].as_str(), Some("linear:0.0017:0.000475"));
            assert_eq!((ours["log_std"].as_str(), ours["squash_actions"].as_bool()), (Some("free"), Some(false)));
        }
        let get = |name: &str| ours[name].as_integer().unwrap();
        let rollout = get("n_steps") * get("n_envs");
        let trees = (get("total_timesteps") + rollout - 1) / rollout
            * get("n_epochs")
            * ((rollout + get("batch_size") - 1) / get("batch_size"));
        assert_eq!(run["num_trees_shared"].as_integer(), Some(trees), "{env}: trees of a run");
    }
}
