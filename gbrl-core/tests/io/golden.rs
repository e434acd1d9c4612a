//! Files of version 1, kept for ever: they must load to the same model, and the model must save to the same bytes.
//!
//! `cargo test -p gbrl-core --test io -- --ignored write_golden_files` writes them anew. Do that for files that are
//! new; a change of an old one is a change of the format, and needs a new version beside this one.

use std::path::PathBuf;

use gbrl_core::io::{Checkpoint, dot, json, model, text};

use crate::models::{golden, golden_checkpoint};

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub fn read(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn dumps() -> (String, String) {
    let model = golden();
    let trees = 0..model.ensemble.trees().len();
    let texts: Vec<String> = trees.clone().map(|i| text::tree_text(&model.ensemble, i).unwrap()).collect();
    let dots: Vec<String> = trees.map(|i| dot::tree_dot(&model.ensemble, i).unwrap()).collect();
    (texts.join("\n"), dots.concat())
}

#[test]
fn the_golden_model_loads_and_saves_byte_for_byte() {
    let bytes = read("model-v1.gbrl");
    assert_eq!(model::from_bytes(&bytes).unwrap(), golden());
    assert_eq!(model::load(path("model-v1.gbrl")).unwrap(), golden());
    assert_eq!(model::to_bytes(&golden()).unwrap(), bytes);
    // Equality of floats does not tell −0 from 0; their bits do.
    let bias: Vec<u32> = model::from_bytes(&bytes).unwrap().ensemble.bias().iter().map(|b| b.to_bits()).collect();
    assert_eq!(bias, [0.0f32, -0.0, 0.1, -1.5e-42].map(f32::to_bits));
}

#[test]
fn the_golden_checkpoint_loads_and_saves_byte_for_byte() {
    let bytes = read("checkpoint-v1.gbrl");
    assert_eq!(Checkpoint::from_bytes(&bytes).unwrap(), golden_checkpoint());
    assert_eq!(golden_checkpoint().to_bytes().unwrap(), bytes);
}

#[test]
fn the_golden_dumps_are_the_same() {
    let (texts, dots) = dumps();
    assert_eq!(texts, String::from_utf8(read("model-v1.txt")).unwrap());
    assert_eq!(dots, String::from_utf8(read("model-v1.dot")).unwrap());
    let written = String::from_utf8(read("model-v1.json")).unwrap();
    assert_eq!(json::to_json(&golden()).unwrap(), written);
    assert_eq!(json::from_json(&written).unwrap(), golden());
}

#[test]
#[ignore = "writes the files that the other tests compare with"]
fn write_golden_files() {
    let (texts, dots) = dumps();
    model::save(path("model-v1.gbrl"), &golden()).unwrap();
    golden_checkpoint().save(path("checkpoint-v1.gbrl")).unwrap();
    std::fs::write(path("model-v1.json"), json::to_json(&golden()).unwrap()).unwrap();
    std::fs::write(path("model-v1.txt"), texts).unwrap();
    std::fs::write(path("model-v1.dot"), dots).unwrap();
}
