//! Files and folders: exact names, one step or nothing, errors by class.

use std::path::Path;

use gbrl_core::boost::Booster;
use gbrl_core::config::{Edges, GrowPolicy, TreeParams};
use gbrl_core::data::{Feature, FeatureSchema};
use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
use gbrl_core::io::container::{Array, Container, write_atomic};
use gbrl_core::io::{Checkpoint, Model, model};
use gbrl_core::tree::Test;
use gbrl_core::{ErrorClass, ErrorKind};
use ndarray::Array2;
use serde_json::{Value, json};

use crate::models::{golden, golden_checkpoint, numeric_bins};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn saving_writes_exactly_the_name_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ext");
    model::save(&path, &golden()).unwrap();
    assert_eq!(names(folder.path()), ["x.ext"]);
    golden_checkpoint().save(&path).unwrap();
    assert_eq!(names(folder.path()), ["x.ext"]);
    assert_eq!(Checkpoint::load(&path).unwrap(), golden_checkpoint());
    let error = model::load(&path).unwrap_err();
    assert!(error.to_string().contains("another kind of file: expected kind 'model', got 'checkpoint'"), "{error}");
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_and_stays_clean() {
    let folder = tempfile::tempdir().unwrap();
    let error = write_atomic(folder.path().join("no/such/x.ext"), b"x").unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    // A file where the folder should be, and a folder where the file should be: these fail for every user.
    std::fs::write(folder.path().join("file"), b"old").unwrap();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    for name in ["file/x.ext", "folder"] {
        let error = write_atomic(folder.path().join(name), b"x").unwrap_err();
        assert_eq!(error.class(), ErrorClass::Io, "{error}");
        let ErrorKind::File { path, .. } = error.kind() else { panic!("{error}") };
        assert_eq!(*path, folder.path().join(name));
    }
    assert_eq!(names(folder.path()), ["file", "folder"]);
    assert!(names(&folder.path().join("folder")).is_empty());
    assert_eq!(std::fs::read(folder.path().join("file")).unwrap(), b"old");
}

#[cfg(unix)]
#[test]
fn links_stay_links_and_finished_files_are_not_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (file, link, plain) = (folder.path().join("file"), folder.path().join("link"), folder.path().join("plain"));
    std::fs::write(&plain, b"").unwrap();
    write_atomic(&file, b"one").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    write_atomic(&link, b"two").unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"two");
    assert!(link.symlink_metadata().unwrap().is_symlink());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
    assert_eq!(mode(&file), mode(&plain));
}

#[cfg(unix)]
#[test]
fn a_file_that_is_replaced_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for mode in [0o600, 0o640, 0o444] {
        std::fs::write(&path, b"old").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode);
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        std::fs::remove_file(&path).unwrap();
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn files_of_others_are_told_as_such() {
    let told = |bytes: &[u8]| model::from_bytes(bytes).unwrap_err().to_string();
    assert!(
        told(b"PK\x03\x04 a long enough zip file").contains("not a gbrl file: expected a file of gbrl's, got a zip")
    );
    assert!(told(b"\x89PNG\r\n\x1a\n and more").starts_with("model: not a gbrl file: expected a header of at most"));
}

#[test]
fn either_kind_is_read_where_either_is_wanted() {
    use gbrl_core::io::checkpoint::from_either;
    let checkpoint = golden_checkpoint();
    assert_eq!(from_either(&checkpoint.to_bytes().unwrap()).unwrap(), checkpoint);
    let alone = from_either(&model::to_bytes(&checkpoint.model).unwrap()).unwrap();
    assert_eq!((&alone.model, alone.state.is_null()), (&checkpoint.model, true));
    assert!(from_either(b"PK").is_err());
}

#[test]
fn reading_what_is_not_a_model_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ext");
    assert_eq!(model::load(&path).unwrap_err().class(), ErrorClass::NotFound);
    assert_eq!(model::load(folder.path()).unwrap_err().class(), ErrorClass::Io);
    for content in [&b""[..], b"\x7fELF", b"PK\x03\x04 a long enough zip file", &[0; 100], &[255; 100]] {
        std::fs::write(&path, content).unwrap();
        let error = model::load(&path).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Format);
        assert!(error.to_string().contains("x.ext"), "{error}");
    }
}

#[test]
fn what_cannot_be_read_back_is_not_written() {
    let mut deep = Value::Null;
    for _ in 0..200 {
        deep = json!([deep]);
    }
    let mut model = golden();
    model.extra = deep.clone();
    assert_eq!(model::to_bytes(&model).unwrap_err().class(), ErrorClass::Value);
    let checkpoint = Checkpoint::new(golden(), deep);
    assert_eq!(checkpoint.to_bytes().unwrap_err().class(), ErrorClass::Value);

    let mut model = golden();
    model.params.as_mut().unwrap().lambda_l2 = f64::NAN;
    assert_eq!(model::to_bytes(&model).unwrap_err().class(), ErrorClass::Value);

    for edges in [vec![], vec![numeric_bins(vec![], false); 4]] {
        let mut model = golden();
        model.fixed_edges = Some(edges);
        assert_eq!(model::to_bytes(&model).unwrap_err().class(), ErrorClass::Value);
    }

    let mut checkpoint = golden_checkpoint();
    checkpoint.blobs.insert("line\nbreak".into(), vec![]);
    assert_eq!(checkpoint.to_bytes().unwrap_err().class(), ErrorClass::Value);
}

#[test]
fn the_deepest_extra_that_is_allowed_can_be_read_back() {
    let mut model = golden();
    model.extra = Value::Null;
    for _ in 0..model::MAX_EXTRA_DEPTH {
        model.extra = json!([model.extra]);
    }
    assert_eq!(model::from_bytes(&model::to_bytes(&model).unwrap()).unwrap(), model);
    let text = gbrl_core::io::json::to_json(&model).unwrap();
    assert_eq!(gbrl_core::io::json::from_json(&text).unwrap(), model);
    model.extra = json!([model.extra]);
    assert_eq!(model::to_bytes(&model).unwrap_err().class(), ErrorClass::Value);
}

/// What a booster that fixes its edges has of them can be saved, whatever codes its first rows held.
#[test]
fn the_edges_of_a_booster_are_part_of_its_model() {
    let schema = FeatureSchema::new(vec![Feature::numeric("x"), Feature::declared("kind", 400)]);
    let groups = vec![OutputGroup::sgd("y", 0..1, Schedule::Constant(0.3))];
    let params = TreeParams { edges: Edges::Fixed, ..Default::default() };
    let ensemble = Ensemble::new(schema, groups).unwrap();
    let mut booster = Booster::new(ensemble, params.clone(), 0, 1).unwrap();
    let x = Array2::from_shape_fn((1000, 2), |(i, j)| if j == 0 { (i as f32).sin() } else { (i % 300) as f32 });
    let y = Array2::from_shape_fn((1000, 1), |(i, _)| (i as f32).sin());
    booster.fit(x.view(), y.view(), 3).unwrap();

    let mut model = Model::new(booster.ensemble().clone());
    model.fixed_edges = booster.fixed_edges().map(<[_]>::to_vec);
    let read = model::from_bytes(&model::to_bytes(&model).unwrap()).unwrap();
    assert_eq!(read, model);
    let edges = read.fixed_edges.clone().unwrap();
    assert_eq!((edges[0].values.len(), edges[0].has_missing), (254, true));

    // Taken up again, other rows are asked about the same edges.
    let mut again = Booster::new(read.ensemble, params, 0, 1).unwrap();
    again.set_fixed_edges(read.fixed_edges).unwrap();
    let other = x.mapv(|v| v * 0.5);
    again.fit(other.view(), y.view(), 3).unwrap();
    for split in again.ensemble().trees().iter().flat_map(|tree| tree.splits()) {
        if let Test::Greater { threshold, .. } = split.test {
            assert!(edges[0].values.contains(&threshold) || threshold == f32::INFINITY);
        }
    }
}

#[test]
fn a_model_grown_on_enormous_gradients_can_be_saved() {
    for grow_policy in [GrowPolicy::Oblivious, GrowPolicy::Depthwise, GrowPolicy::Bestfirst] {
        let groups = vec![OutputGroup::sgd("y", 0..1, Schedule::Constant(0.3))];
        let ensemble = Ensemble::new(FeatureSchema::numeric(1), groups).unwrap();
        let params = TreeParams { grow_policy, max_depth: 2, ..Default::default() };
        let mut booster = Booster::new(ensemble, params, 0, 1).unwrap();
        let x = Array2::from_shape_fn((1000, 1), |(i, _)| i as f32);
        let y = Array2::from_shape_fn((1000, 1), |(i, _)| if i < 300 { -1e38 } else { 1e38 });
        booster.fit(x.view(), y.view(), 1).unwrap();
        let model = Model::new(booster.ensemble().clone());
        assert_eq!(model.ensemble.trees()[0].gains()[0], f32::MAX, "{grow_policy:?}");
        assert_eq!(model::from_bytes(&model::to_bytes(&model).unwrap()).unwrap(), model);
    }
}

#[test]
fn the_safetensors_library_reads_the_same_arrays() {
    let bytes = golden_checkpoint().to_bytes().unwrap();
    let ours = Container::from_bytes(&bytes, "checkpoint").unwrap();
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.len(), ours.arrays().len() + 1, "theirs counts the checksum");
    for (name, array) in ours.arrays() {
        let view = theirs.tensor(name).unwrap();
        assert_eq!(view.shape(), array.shape());
        // Arrays are aligned to their elements, so that a file mapped into memory can be used in place.
        let offset = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(offset * 8 % view.dtype().bitsize(), 0, "{name}");
    }
    let view = theirs.tensor("checksum").unwrap();
    assert_eq!(view.data(), &bytes[bytes.len() - 4..]);
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata: std::collections::BTreeMap<_, _> = metadata.metadata().clone().unwrap().into_iter().collect();
    let pairs: Vec<(&str, &str)> = metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(pairs, [("format", "gbrl-rs"), ("kind", "checkpoint"), ("version", "1")]);
}

#[test]
fn reserved_taken_and_broken_names_are_refused() {
    let mut container = Container::new("notes").unwrap();
    container.insert("a", Array::vector(vec![1u8])).unwrap();
    for name in ["a", "", "checksum", "__metadata__", "\u{7f}", &"x".repeat(257)] {
        assert!(container.insert(name, Array::vector(vec![1u8])).is_err(), "{name:?}");
    }
    for kind in ["", "Model", "a\"b", &"x".repeat(65)] {
        assert!(Container::new(kind).is_err(), "{kind:?}");
    }
    assert!(Array::new(vec![1 << 40, 1 << 40, 0], Vec::<u8>::new()).is_err(), "the product overflows");
    assert!(Array::new(vec![1; 5], vec![1u8]).is_err());
}
