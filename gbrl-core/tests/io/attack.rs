//! Hostile files: every altered byte is refused, and with the checksum made right again the structure is proven.

use gbrl_core::ErrorClass;
use gbrl_core::io::container::{Array, Container, Data};
use gbrl_core::io::{Checkpoint, Model, dot, json, model, text};
use gbrl_core::rng::Stream;
use serde_json::Value;

use crate::golden::read;
use crate::models::golden;

fn refused(bytes: &[u8], what: impl std::fmt::Display) {
    match model::from_bytes(bytes) {
        Err(error) => assert_eq!(error.class(), ErrorClass::Format, "{what}: {error}"),
        Ok(_) => panic!("{what}: accepted"),
    }
}

/// Refused for this very reason: a test that fails for another one tests nothing.
fn refused_for(bytes: &[u8], what: impl std::fmt::Display, reason: &str) {
    refused(bytes, &what);
    let error = model::from_bytes(bytes).unwrap_err().to_string();
    assert!(error.contains(reason), "{what}: expected '{reason}', got '{error}'");
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 4;
    let checksum = crc32fast::hash(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&checksum);
    bytes
}

/// Refused as a file that is not valid, or a model on which everything works.
fn refused_or_sound(bytes: &[u8]) -> bool {
    match model::from_bytes(bytes) {
        Err(error) => {
            assert_eq!(error.class(), ErrorClass::Format, "{error}");
            false
        }
        Ok(model) => {
            use_everywhere(&model);
            true
        }
    }
}

fn use_everywhere(model: &Model) {
    model.check().unwrap();
    let row = vec![0.5; model.ensemble.n_features()];
    for bins in model.fixed_edges.iter().flatten() {
        assert!(bins.n_bins() <= 256 && [-1.0, 0.5, f32::NAN].iter().all(|&x| bins.categorical || bins.bin(x) < 256));
    }
    for (i, tree) in model.ensemble.trees().iter().enumerate() {
        assert_eq!(tree.leaf(tree.leaf_idx(&row)).len(), tree.columns().len());
        text::tree_text(&model.ensemble, i).unwrap();
        dot::tree_dot(&model.ensemble, i).unwrap();
    }
    let again = model::from_bytes(&model::to_bytes(model).unwrap()).unwrap();
    assert_eq!(again, *model);
    assert_eq!(json::from_json(&json::to_json(model).unwrap()).unwrap(), *model);
}

#[test]
fn every_altered_byte_is_refused() {
    let bytes = read("model-v1.gbrl");
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        for pattern in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF, 0x55] {
            altered[at] = bytes[at] ^ pattern;
            refused(&altered, format_args!("byte {at} ^ {pattern:#x}"));
        }
    }
    let bytes = read("checkpoint-v1.gbrl");
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] = altered[at].wrapping_add(1);
        assert_eq!(Checkpoint::from_bytes(&altered).unwrap_err().class(), ErrorClass::Format, "byte {at}");
    }
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let bytes = read("model-v1.gbrl");
    for at in 0..bytes.len() {
        refused(&bytes[..at], format_args!("cut at {at}"));
        refused(&bytes[at + 1..], format_args!("begun after {at}"));
        let mut missing = bytes.clone();
        missing.remove(at);
        refused(&missing, format_args!("without byte {at}"));
        refused(&with_checksum(missing), format_args!("without byte {at}, checksum made right"));
    }
    for tail in [&[0u8; 1][..], &[0; 4], &[0; 4096], &bytes] {
        let longer = [&bytes[..], tail].concat();
        refused(&longer, format_args!("{} bytes more", tail.len()));
        refused(&with_checksum(longer), format_args!("{} bytes more, checksum made right", tail.len()));
    }
}

#[test]
fn altered_bytes_with_a_right_checksum_are_refused_or_harmless() {
    let bytes = read("model-v1.gbrl");
    let mut accepted = 0;
    for at in 0..bytes.len() - 4 {
        for pattern in [0x01, 0x20, 0x80, 0xFF] {
            let mut altered = bytes.clone();
            altered[at] ^= pattern;
            accepted += usize::from(refused_or_sound(&with_checksum(altered)));
        }
    }
    assert!(accepted > 0, "leaf values, gains and names can be changed into valid ones");
    let rng = &mut Stream::new(0, "attack", 0);
    for _ in 0..20_000 {
        let mut altered = bytes.clone();
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(bytes.len() as u64 - 4) as usize;
            altered[at] =
                if rng.below(2) == 0 { rng.bits() as u8 } else { b"0123456789[]{},:\" "[rng.below(18) as usize] };
        }
        refused_or_sound(&with_checksum(altered));
    }
}

/// A file with this header text, these data bytes and a right checksum.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(&[0; 4]);
    with_checksum(bytes)
}

#[test]
fn absurd_headers_are_refused_without_allocating_what_they_claim() {
    let huge = 1u64 << 60;
    let meta = r#""__metadata__":{"format":"gbrl-rs","kind":"model","version":"1"}"#;
    let sum = r#""checksum":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#;
    let entry = |shape: &str, from: u64, to: u64| {
        format!(r#""tree.shape":{{"dtype":"U8","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let many: Vec<String> = (0..9u64)
        .map(|i| {
            let n = (1u64 << 61) - 1;
            format!(
                r#""a{i}":{{"dtype":"U8","shape":[{n}],"data_offsets":[{},{}]}}"#,
                i.wrapping_mul(n),
                (i + 1).wrapping_mul(n)
            )
        })
        .collect();
    let headers = [
        String::new(),
        "{}".into(),
        "null".into(),
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{{meta}}}"),
        format!("{{{meta},{sum}}}"),
        format!("{{{meta},{},{sum}}}", entry(&format!("[{huge}]"), 0, huge)),
        format!("{{{meta},{},{sum}}}", entry(&format!("[{huge},{huge}]"), 0, 0)),
        format!("{{{meta},{},{sum}}}", entry(&format!("[{huge},{huge},0]"), 0, 0)),
        format!("{{{meta},{},{sum}}}", entry("[0,0,0,0,0]", 0, 0)),
        format!("{{{meta},{},{sum}}}", entry("[-1]", 0, 0)),
        format!("{{{meta},{},{sum}}}", entry("[1e3]", 0, 1000)),
        format!("{{{meta},{},{sum}}}", entry("[4]", 0, 4)),
        format!("{{{meta},{},{sum}}}", entry("[4]", 4, 0)),
        format!("{{{meta},{sum},{sum}}}"),
        format!("{{{meta},{meta},{sum}}}"),
        format!("{{{meta},{},{sum}}}", many.join(",")),
        format!("{{{meta},{sum}}}").replace("gbrl-rs", "pt"),
        format!("{{{meta},{sum}}}").replace("\"1\"", "\"2\""),
        format!("{{{meta},{sum}}}").replace("\"1\"", "1"),
        format!("{{{meta},{sum}}}").replace("U8", "F4"),
        format!("{{{meta},{sum}}}").replace("U8", "XX"),
    ];
    for header in headers {
        let shown: String = header.chars().take(200).collect();
        refused(&file(&header, b""), &shown);
        let padding = " ".repeat(header.len().next_multiple_of(8) - header.len());
        let padded = header + &padding;
        refused(&file(&padded, b""), &shown);
    }
    for (header, reason) in [
        (format!("{{{meta},{},{sum}}}", entry(&format!("[{huge}]"), 0, huge)), "impossible sizes"),
        (format!("{{{meta},{},{sum}}}", entry(&format!("[{huge},{huge},0]"), 0, 0)), "impossible sizes"),
        (format!("{{{meta},{},{sum}}}", many.join(",")), "impossible sizes"),
        (format!("{{{meta},{},{sum}}}", entry("[0,0,0,0,0]", 0, 0)), "too many dimensions"),
        (format!("{{{meta},{},{sum}}}", entry("[8]", 0, 8)), "wrong length"),
        (format!("{{{meta},{},{sum}}}", entry("[]", 0, 1).replace("U8", "F16")), "unknown element type"),
        (format!("{{{meta},{},{sum}}}", entry("[0]", 0, 0).replace("tree.shape", "a\\u0000")), "bad array name"),
        (format!("{{{meta},{sum}}}").replace("gbrl-rs", "pt"), "not a gbrl file"),
        (format!("{{{meta},{sum}}}").replace("\"1\"", "\"2\""), "unknown version"),
        (format!("{{{meta},{sum}}}").replace("model", "checkpoint"), "another kind"),
        (format!("{{{sum}}}"), "not a gbrl file"),
    ] {
        let padding = " ".repeat(header.len().next_multiple_of(8) - header.len());
        refused_for(&file(&(header.clone() + &padding), b""), &header, reason);
    }
    for length in [0, 1, 8, 1 << 24, (1 << 24) + 1, u64::MAX - 8, u64::MAX] {
        let mut bytes = read("model-v1.gbrl");
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        refused(&with_checksum(bytes), length);
    }
}

#[test]
fn a_header_has_one_spelling() {
    let bytes = read("model-v1.gbrl");
    let n = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + n]).unwrap();
    let respelled = |header: &str| {
        assert_eq!(header.len(), n, "only the spelling changes");
        with_checksum([&bytes[..8], header.as_bytes(), &bytes[8 + n..]].concat())
    };
    assert_eq!(respelled(header), bytes);
    let exchange = |a: &str, b: &str| {
        assert!(header.contains(a) && header.contains(b), "{a} {b}");
        header.replace(a, "\u{1}").replace(b, a).replace('\u{1}', b)
    };
    let offsets = |name: &str| {
        let entry = &header[header.find(&format!("\"{name}\"")).unwrap()..];
        let from = entry.find("\"data_offsets\"").unwrap();
        entry[from..=entry.find('}').unwrap()].to_owned()
    };
    for (what, other) in [
        ("two entries exchanged", exchange("split.gain", "split.threshold")),
        ("two places exchanged", exchange(&offsets("node.left"), &offsets("node.right"))),
        ("one place twice", header.replacen(&offsets("node.left"), &offsets("node.right"), 1)),
        ("metadata in another order", exchange("\"kind\":\"model\"", "\"version\":\"1\"")),
        (
            "keys in another order",
            header.replacen("\"shape\":[4],", "", 1).replacen(
                "{\"dtype\":\"F32\",",
                "{\"shape\":[4],\"dtype\":\"F32\",",
                1,
            ),
        ),
    ] {
        assert_ne!(other, header, "{what}");
        let error = model::from_bytes(&respelled(&other)).unwrap_err();
        assert!(error.to_string().contains("header not canonical"), "{what}: {error}");
    }
    // The same entry twice, white space inside or at the end: as valid to a JSON parser.
    for (what, other) in [
        (
            "an entry twice",
            header.replacen(
                "{\"__meta",
                "{\"bias\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"__meta",
                1,
            ),
        ),
        ("a space inside", header.replacen(':', ": ", 1)),
        ("eight spaces more", format!("{header}        ")),
        ("no padding", header.trim_end().to_owned()),
    ] {
        let mut file = (other.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(other.as_bytes());
        file.extend_from_slice(&bytes[8 + n..]);
        if file != bytes {
            refused(&with_checksum(file), what);
        }
    }
}

/// The golden model's file with some arrays replaced.
fn rebuilt(edit: impl Fn(&str, &Array) -> Option<Array>) -> Vec<u8> {
    let golden = Container::from_bytes(&read("model-v1.gbrl"), "model").unwrap();
    let mut container = Container::new("model").unwrap();
    for (name, array) in golden.arrays() {
        if let Some(array) = edit(name, array) {
            container.insert(name.clone(), array).unwrap();
        }
    }
    container.into_bytes().unwrap()
}

#[test]
fn missing_unknown_and_misshapen_arrays_are_refused() {
    let golden = Container::from_bytes(&read("model-v1.gbrl"), "model").unwrap();
    for (name, original) in golden.arrays() {
        refused_for(&rebuilt(|n, a| (n != name).then(|| a.clone())), format_args!("without {name}"), "array missing");
        let empty = Array::vector(Vec::<u8>::new());
        refused(&rebuilt(|n, a| Some(if n == name { empty.clone() } else { a.clone() })), format_args!("empty {name}"));
        let other = Array::vector(vec![0.0f64; original.data().len()]);
        refused(&rebuilt(|n, a| Some(if n == name { other.clone() } else { a.clone() })), format_args!("f64 {name}"));
    }
    let mut container = golden.clone();
    container.insert("more", Array::vector(vec![1u8])).unwrap();
    refused_for(&container.into_bytes().unwrap(), "one more", "unknown array");
}

#[test]
fn columns_that_are_no_whole_group_are_refused() {
    // The second tree is as wide as the first three of these: one straddles groups, two join them.
    for (columns, reason) in [
        ([1u32, 3], "whole groups"),
        ([2, 4], "whole groups"),
        ([u32::MAX - 2, u32::MAX], "whole groups"),
        ([0, 3], "parts differ in length"),
        ([2, 0], "parts differ in length"),
        ([0, u32::MAX], "parts differ in length"),
    ] {
        let array = Array::new(vec![4, 2], [&[0, 4][..], &columns, &[2, 3, 3, 4]].concat()).unwrap();
        let bytes = rebuilt(|n, a| Some(if n == "tree.columns" { array.clone() } else { a.clone() }));
        refused_for(&bytes, format_args!("{columns:?}"), reason);
    }
}

#[test]
fn rates_that_are_too_few_too_many_or_none_are_refused() {
    // Four trees of 4, 2, 1 and 1 columns.
    let with = |rates: Vec<f32>| {
        let array = Array::vector(rates);
        rebuilt(|n, a| Some(if n == "tree.rate" { array.clone() } else { a.clone() }))
    };
    assert!(refused_or_sound(&with(vec![0.5; 8])));
    for n in [0, 1, 4, 7, 9, 16] {
        refused_for(&with(vec![0.5; n]), n, "parts differ in length");
    }
    for wrong in [-1e-45, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in 0..8 {
            let mut rates = vec![0.5; 8];
            rates[at] = wrong;
            refused_for(&with(rates), wrong, "rate out of range");
        }
    }
}

#[test]
fn edges_that_are_none_are_refused() {
    // Features 0 and 3 are numeric, 1 and 2 are not; the golden edges are 5 of feature 0.
    let with = |starts: &[u64], missing: &[u8], values: &[f32]| {
        rebuilt(|n, a| {
            Some(match n {
                "edge.start" => Array::vector(starts.to_vec()),
                "edge.missing" => Array::vector(missing.to_vec()),
                "edge.value" => Array::vector(values.to_vec()),
                _ => a.clone(),
            })
        })
    };
    let many: Vec<f32> = (0..256).map(|i| i as f32).collect();
    for (starts, missing, values) in [
        (&[][..], &[][..], &[][..]),
        (&[0; 5], &[0; 4], &[]),
        (&[0, 1, 1, 1, 2], &[1, 0, 0, 1], &[f32::INFINITY, f32::NEG_INFINITY]),
        (&[0, 0, 0, 0, 255], &[0; 4], &many[..255]),
        (&[0, 0, 0, 0, 254], &[0, 0, 0, 1], &many[..254]),
    ] {
        assert!(refused_or_sound(&with(starts, missing, values)), "{starts:?}");
    }
    for (starts, missing, values, reason) in [
        (&[][..], &[][..], &[1.0][..], "parts differ in length"),
        (&[], &[0], &[], "parts differ in length"),
        (&[], &[0; 4], &[], "parts differ in length"),
        (&[0], &[], &[], "parts differ in length"),
        (&[0; 4], &[0; 3], &[], "parts differ in length"),
        (&[0; 6], &[0; 5], &[], "parts differ in length"),
        (&[0; 5], &[0; 5], &[], "parts differ in length"),
        (&[0; 5], &[0; 4], &[1.0], "starts do not divide"),
        (&[1; 5], &[0; 4], &[1.0], "starts do not divide"),
        (&[0, 2, 2, 2, 1], &[0; 4], &[1.0], "starts do not divide"),
        (&[0, u64::MAX, 1, 1, 1], &[0; 4], &[1.0], "starts do not divide"),
        (&[0; 5], &[2, 0, 0, 0], &[], "unknown flag"),
        (&[0; 5], &[0, 1, 0, 0], &[], "edges of a categorical feature"),
        (&[0, 0, 1, 1, 1], &[0; 4], &[1.0], "edges of a categorical feature"),
        (&[0, 2, 2, 2, 2], &[0; 4], &[1.0, 1.0], "edges out of order"),
        (&[0, 2, 2, 2, 2], &[0; 4], &[-0.0, 0.0], "edges out of order"),
        (&[0, 2, 2, 2, 2], &[0; 4], &[2.0, 1.0], "edges out of order"),
        (&[0, 1, 1, 1, 1], &[0; 4], &[f32::NAN], "edges out of order"),
        (&[0, 0, 0, 0, 256], &[0; 4], &many, "too many"),
        (&[0, 0, 0, 0, 255], &[0, 0, 0, 1], &many[..255], "too many"),
    ] {
        refused_for(&with(starts, missing, values), format_args!("{starts:?} {missing:?}"), reason);
    }
}

/// An array of the same shape with one element changed to something interesting.
fn corrupt(array: &Array, rng: &mut Stream) -> Array {
    fn change<T: Clone>(elements: &[T], rng: &mut Stream, make: impl Fn(&mut Stream, &T) -> T) -> Vec<T> {
        let mut elements = elements.to_vec();
        if !elements.is_empty() {
            let at = rng.below(elements.len() as u64) as usize;
            elements[at] = make(rng, &elements[at]);
        }
        elements
    }
    let number = |rng: &mut Stream, old: u64| match rng.below(6) {
        0 => rng.below(8),
        1 => old.wrapping_add(1),
        2 => old.wrapping_sub(1),
        3 => 1 << rng.below(64),
        4 => u64::MAX - rng.below(3),
        _ => rng.bits(),
    };
    let float = |rng: &mut Stream| match rng.below(4) {
        0 => f32::from_bits(rng.bits() as u32),
        1 => [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0][rng.below(4) as usize],
        2 => rng.below(6) as f32 - 1.0,
        _ => rng.uniform() as f32,
    };
    let shape = array.shape().to_vec();
    match array.data() {
        Data::U8(x) => Array::new(shape, change(x, rng, |rng, &old| number(rng, old.into()) as u8)),
        Data::U32(x) => Array::new(shape, change(x, rng, |rng, &old| number(rng, old.into()) as u32)),
        Data::I32(x) => Array::new(shape, change(x, rng, |rng, &old| number(rng, old as u64) as i32)),
        Data::U64(x) => Array::new(shape, change(x, rng, |rng, &old| number(rng, old))),
        Data::F32(x) => Array::new(shape, change(x, rng, |rng, _| float(rng))),
        Data::F64(_) => unreachable!("models hold no double-precision array"),
    }
    .unwrap()
}

#[test]
fn corrupt_arrays_are_refused_or_sound() {
    let rng = &mut Stream::new(1, "attack", 0);
    let golden = Container::from_bytes(&read("model-v1.gbrl"), "model").unwrap();
    let names: Vec<&String> = golden.arrays().keys().filter(|name| *name != "header").collect();
    for name in names {
        let mut accepted = 0;
        for _ in 0..600 {
            let corrupted = corrupt(&golden.arrays()[name], rng);
            let same = corrupted == golden.arrays()[name];
            let bytes = rebuilt(|n, a| Some(if n == name { corrupted.clone() } else { a.clone() }));
            accepted += usize::from(refused_or_sound(&bytes) && !same);
        }
        // What proves a tree's structure has exactly one valid content; numbers have many.
        let rigid = name.ends_with("start") || name.starts_with("node.") || name == "tree.columns";
        // Two leaves of one node may swap their links only together, so one changed link is never valid.
        assert!(!rigid || accepted == 0, "{name}: {accepted}");
    }
}

#[test]
fn corrupt_descriptions_are_refused_or_sound() {
    let golden_container = Container::from_bytes(&read("model-v1.gbrl"), "model").unwrap();
    let Data::U8(text) = golden_container.arrays()["header"].data() else { panic!("the header is bytes") };
    let original: Value = serde_json::from_slice(text).unwrap();
    let with_header = |text: Vec<u8>| {
        let header = Array::vector(text);
        rebuilt(|n, a| Some(if n == "header" { header.clone() } else { a.clone() }))
    };
    let poison = [
        "null",
        "true",
        "-1",
        "0",
        "1",
        "4",
        "65535",
        "4294967296",
        "18446744073709551615",
        "1e308",
        "0.5",
        "\"\"",
        "\"cosine\"",
        "[]",
        "{}",
        "[0,2]",
        "[[[]]]",
        "[0,18446744073709551615]",
        "{\"type\":\"sgd\"}",
    ];
    let mut pointers = Vec::new();
    collect_pointers(&original, String::new(), &mut pointers);
    assert!(pointers.len() > 60);
    for pointer in &pointers {
        for replacement in poison {
            let mut header = original.clone();
            *header.pointer_mut(pointer).unwrap() = serde_json::from_str(replacement).unwrap();
            refused_or_sound(&with_header(header.to_string().into_bytes()));
        }
    }
    let text = original.to_string();
    let edited = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} in {text}");
        with_header(text.replacen(from, to, 1).into_bytes())
    };
    for (from, to, reason) in [
        ("{", "{\"more\":1,", "unknown field"),
        ("\"name\":\"speed\"", "\"more\":1,\"name\":\"speed\"", "unknown field"),
        ("\"type\":\"sgd\"", "\"type\":\"sgd\",\"more\":1", "unknown field"),
        ("\"max_depth\":3", "\"max_depth\":3,\"more\":1", "unknown field"),
        ("\"type\":\"sgd\"", "\"type\":\"sgd\",\"type\":\"sgd\"", "duplicate field"),
        ("\"n\":5", "\"n\":65535", "too many"),
        ("\"n\":5", "\"n\":4", "category does not exist"),
        ("\"n\":5", "\"n\":5,\"labels\":[\"a\"]", "labels that do not fit"),
        ("\"n\":5", "\"n\":5,\"labels\":0", "labels that do not fit"),
        ("\"n\":5", "\"n\":5,\"labels\":18446744073709551615", "labels that do not fit"),
        ("\"n\":5", "\"n\":5,\"labels\":{}", "invalid contents"),
        ("\"extra\":{", "\"outputs\":[\"a\"],\"extra\":{", "out of range"),
        ("\"go to the red ball\"", "\"\"", "named twice"),
        ("[2,3]", "[3,2]", "columns out of place"),
        ("[2,3]", "[1,3]", "columns out of place"),
        ("[3,4]", "[3,5]", "bias"),
        ("[3,4]", "[3,65537]", "columns out of place"),
        ("[3,4]", "[3,18446744073709551615]", "columns out of place"),
        ("\"beta1\":0.9", "\"beta1\":1.0", "out of range"),
        ("\"max_depth\":3", "\"max_depth\":300", "out of range"),
    ] {
        refused_for(&edited(from, to), to, reason);
    }
    for depth in [64, 100, 127, 128, 5_000_000] {
        let deep = format!("\"extra\":{{\"deep\":{}{},", "[".repeat(depth), "]".repeat(depth));
        refused_for(&edited("\"extra\":{", &deep), depth, "JSON too deep");
    }
    refused_for(&with_header(vec![b' '; 100]), "white space", "invalid contents");
    refused_for(&with_header(vec![0xFF; 100]), "no text", "invalid contents");
}

fn collect_pointers(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| collect_pointers(item, format!("{at}/{i}"), out));
        }
        Value::Object(entries) => {
            entries.iter().for_each(|(key, item)| collect_pointers(item, format!("{at}/{key}"), out));
        }
        _ => {}
    }
    out.push(at);
}

#[test]
fn a_file_of_ours_that_holds_no_trees_is_a_model() {
    let mut model = golden();
    model.ensemble =
        gbrl_core::ensemble::Ensemble::new(model.ensemble.schema().clone(), model.ensemble.groups().to_vec()).unwrap();
    use_everywhere(&model);
    // Starts and leaves that belong to no tree.
    let bytes = model::to_bytes(&model).unwrap();
    let original = Container::from_bytes(&bytes, "model").unwrap();
    for (name, array) in [
        ("leaf.cover", Array::vector(vec![1u32])),
        ("leaf.value", Array::vector(vec![1.0f32])),
        ("tree.leaf_start", Array::vector(vec![1u64])),
        ("tree.rate", Array::vector(vec![1.0f32])),
    ] {
        let mut container = Container::new("model").unwrap();
        for (n, a) in original.arrays() {
            container.insert(n.clone(), if n == name { array.clone() } else { a.clone() }).unwrap();
        }
        let reason = if name == "tree.rate" { "parts differ in length" } else { "parts of no tree" };
        refused_for(&container.into_bytes().unwrap(), name, reason);
    }
}
