//! The preset `paper` against the reference's hyper-parameters, value by value; MiniGrid's defaults against each other.

use std::process::Command;

use toml::{Table, Value};

const REFERENCE: [&str; 3] = [
    include_str!("data/hyperparameters_ppo.toml"),
    include_str!("data/hyperparameters_a2c.toml"),
    include_str!("data/hyperparameters_awr.toml"),
];

/// The reference's name, ours, and how its value is written here: what all algorithms have.
const NAMES: [(&str, &str); 17] = [
    ("total_timesteps", "total_timesteps"),
    ("num_envs", "n_envs"),
    ("gamma", "gamma"),
    ("gae_lambda", "gae_lambda"),
    ("ent_coef", "ent_coef"),
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

/// What one algorithm has besides.
fn own_names(algo: &str) -> &'static [(&'static str, &'static str)] {
    match algo {
        "ppo" => &[
            ("n_steps", "n_steps"),
            ("batch_size", "batch_size"),
            ("n_epochs", "n_epochs"),
            ("vf_coef", "vf_coef"),
            ("clip_range", "clip_range"),
            ("clip_range_vf", "clip_range_vf"),
            ("target_kl", "target_kl"),
        ],
        // Its vf_coef is of another loss, see below.
        "a2c" => &[("n_steps", "n_steps")],
        "awr" => &[
            ("train_freq", "n_steps"),
            ("vf_coef", "vf_coef"),
            ("gradient_steps", "value_updates"),
            ("gradient_steps", "policy_updates"),
            ("batch_size", "value_batch_size"),
            ("batch_size", "policy_batch_size"),
            ("buffer_size", "buffer_size"),
            ("beta", "beta"),
            ("weights_max", "max_weight"),
        ],
        _ => panic!("{algo}"),
    }
}

/// Keys that describe the run or follow from others; those that are settings are compared by hand below.
const HANDLED: [&str; 28] = [
    "id",
    // A2C's, which is of another loss; the others' is compared by its name.
    "vf_coef",
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
    "log_std_lr_schedule",
    // Less than one rollout of AWR's.
    "learning_starts",
    // Targets of the value; there is no other kind here.
    "reward_mode",
    // Rows that it values together.
    "value_batch_size",
    // A term of its networks.
    "policy_bound_loss_weight",
];

/// The resolved settings, as the program prints them.
fn preset(name: &str, env: &str, algo: &str) -> Table {
    let arguments = ["presets", name, "--env", env, "--algo", algo];
    let output = Command::new(env!("CARGO_BIN_EXE_gbrl")).args(arguments).output().unwrap();
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
    for text in REFERENCE {
        let reference: Table = text.parse().unwrap();
        let runs = reference["run"].as_array().unwrap();
        assert_eq!(runs.len(), 6 + 2);
        for run in runs.iter().map(|run| run.as_table().unwrap()) {
            for env in run["envs"].as_array().unwrap() {
                compare(run, &env.as_str().unwrap().replace("LunarLander-v2", "LunarLander-v3"));
            }
        }
    }
}

/// One default for all tasks of MiniGrid: only how long they are trained differs.
#[test]
fn minigrid_has_one_default() {
    for algo in ["ppo", "a2c", "awr"] {
        let [mut fetch, mut other] =
            ["Fetch-5x5-N2", "DoorKey-5x5"].map(|task| preset("default", &format!("MiniGrid-{task}-v0"), algo));
        for own in ["env", "total_timesteps"] {
            assert_ne!(fetch.remove(own), other.remove(own));
        }
        assert_eq!(fetch, other, "{algo}");
    }
}

fn compare(run: &Table, env: &str) {
    let algo = run["algo"].as_str().unwrap();
    let ours = preset("paper", env, algo);
    let names: Vec<_> = NAMES.iter().chain(own_names(algo)).collect();
    for &&(theirs, name) in &names {
        assert!(same(&run[theirs], &ours[name]), "{algo} {env}, {name}: {} is not {}", ours[name], run[theirs]);
    }
    if algo == "a2c" {
        assert_eq!(number(&ours["vf_coef"]), number(&run["vf_coef"]).map(|x| 2.0 * x));
    }
    if algo == "awr" {
        assert_eq!(number(&ours["weight_baseline"]), Some(0.0), "the paper has none");
    }
    let known = |key: &String| HANDLED.contains(&key.as_str()) || names.iter().any(|(theirs, _)| theirs == key);
    let missed: Vec<_> = run.keys().filter(|key| !known(key)).collect();
    assert!(missed.is_empty(), "{algo} {env}: the reference also sets {missed:?}");
    for schedule in ["clip_range_schedule", "policy_lr_schedule", "value_lr_schedule"] {
        assert!(run.get(schedule).is_none_or(|kind| kind.as_str() == Some("const")), "{algo} {env}: {schedule}");
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
        match run["log_std_lr_schedule"].as_str() {
            Some("const") => assert!(same(&run["log_std_lr"], &ours["log_std_lr"]), "{algo} {env}"),
            other => {
                assert_eq!(other, Some("linear 0.0017 -> 0.000475"));
                assert_eq!(ours["log_std_lr"].as_str(), Some("linear:0.0017:0.000475"));
            }
        }
        assert_eq!((ours["log_std"].as_str(), ours["squash_actions"].as_bool()), (Some("free"), Some(false)));
    }
    let get = |name: &str| ours[name].as_integer().unwrap();
    let rollout = get("n_steps") * get("n_envs");
    let updates = match algo {
        "ppo" => get("n_epochs") * ((rollout + get("batch_size") - 1) / get("batch_size")),
        "a2c" => 1,
        _ => get("policy_updates"),
    };
    let trees = (get("total_timesteps") + rollout - 1) / rollout * updates;
    // AWR of the reference makes whole rollouts only up to the total.
    let theirs = run["num_trees_shared"].as_integer().unwrap();
    assert!(theirs == trees || algo == "awr" && theirs == trees - updates, "{algo} {env}: {trees} trees, not {theirs}");
}
