//! The benches' JSON, which `cargo xtask compare` reads.

use super::run;

#[test]
fn step_and_predict_print_their_settings_and_medians() {
    let folder = tempfile::tempdir().unwrap();
    let shape = "--rows 64 --features 4 --outputs 3 --depth 3 --threads 1 --json";
    for options in [
        "--grow oblivious --score cosine --edges step",
        "--grow depthwise --score l2 --edges fixed",
        "--grow bestfirst --edges step --categorical 2 --nan 0.1 --existing 20",
    ] {
        let step = run(folder.path(), &format!("bench step {shape} --trees 20 {options}")).json();
        assert!(step["ms_per_tree"].as_f64().unwrap() > 0.0 && step["seconds_total"].as_f64().unwrap() > 0.0);
        let number = |key: &str| step[key].as_u64().unwrap();
        let (rows, features, outputs, depth, trees) =
            (number("rows"), number("features"), number("outputs"), number("depth"), number("trees"));
        assert_eq!((rows, features, outputs, depth, trees), (64, 4, 3, 3, 20));
        assert!(number("warm_up_trees") >= 10 && number("threads") == 1 && step["simd"].is_string());
    }
    let fresh = run(folder.path(), &format!("bench step {shape} --trees 20 --edges step --fresh")).json();
    assert!(fresh["seconds_total"].as_f64().unwrap() > 0.0);
    let predict = run(folder.path(), &format!("bench predict {shape} --trees 30 --grow depthwise")).json();
    assert!(predict["ns_per_tree_row"].as_f64().unwrap() > 0.0);
    assert_eq!((&predict["trees"], &predict["grow"]), (&30.into(), &"depthwise".into()));
}

#[test]
fn table_1_and_update() {
    let folder = tempfile::tempdir().unwrap();
    let table = run(folder.path(), "bench table1 --trees 30 --threads 1 --json").json();
    let seconds = |key: &str| table[key].as_f64().unwrap();
    assert!(seconds("seconds_total") >= seconds("seconds_steps") && seconds("seconds_steps") > 0.0);
    let update = run(folder.path(), "bench update --existing 10,50 --steps 10 --rows 32 --rollout 64 --json").json();
    assert_eq!(update["points"].as_array().unwrap().len(), 2);
}
