//! An export from beginning to end, as the program and the Python package ask for it.

use gbrl_core::error::ErrorClass;
use gbrl_core::export::check::Disagreement;
use gbrl_core::export::{Format, Order, Outputs, Quantize, Rows, export};
use gbrl_core::rng::Stream;

use crate::cases::{self, SMALL};

fn order(format: Format, quantize: Quantize) -> Order {
    Order { format, quantize, value: true, name: "demo".into() }
}

#[test]
fn an_artefact_is_checked_and_reported_in_every_format_that_needs_no_tool() {
    let mut stream = Stream::new(16, "rows", 0);
    let mut policies = (20..).map(|seed| cases::policy(seed, SMALL)).filter(cases::is_storable);
    for format in [Format::C, Format::Rust, Format::Bin, Format::Onnx, Format::Json] {
        for quantize in [Quantize::None, Quantize::Int16] {
            let policy = policies.next().unwrap();
            let edge = cases::flat(&policy, quantize, true);
            let states = cases::rows(&edge, 50, edge.mask_len() > 0, &mut stream);
            let done = export(&policy, &order(format, quantize), &states);
            if (format, quantize) == (Format::Json, Quantize::Int16) {
                assert_eq!(done.unwrap_err().class(), ErrorClass::Unsupported);
                continue;
            }
            let done = done.unwrap();
            let report = &done.report;
            assert_eq!((report.format, report.quantize, report.n_trees), (format, quantize, edge.n_trees()));
            assert!(report.flash_bytes > 0 && report.ram_bytes == edge.ram_bytes());
            let states = report.states.unwrap();
            assert_eq!(states.rows, 50);
            assert_eq!(
                (states.exact, report.neighbours.exact),
                (quantize == Quantize::None, quantize == Quantize::None)
            );
            let folder = tempfile::tempdir().unwrap();
            let paths = done.write(folder.path().join("new")).unwrap();
            for (path, (name, content)) in paths.iter().zip(&done.artefact.files) {
                assert!(path.ends_with(name) && std::fs::read(path).unwrap() == *content);
            }
        }
    }
}

#[test]
fn without_states_the_neighbours_are_asked() {
    let policy = cases::policy(1, SMALL);
    let report = export(&policy, &order(Format::Bin, Quantize::None), &Rows::default()).unwrap().report;
    assert!(report.states.is_none() && report.neighbours.exact && report.neighbours.rows > 0);
    assert!(report.to_string().contains("on visited states: there are none"), "{report}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let policy = cases::policy(2, SMALL);
    let width = policy.head().n_features();
    let with = |observations, masks| {
        let rows = Rows { observations, masks };
        export(&policy, &order(Format::Bin, Quantize::None), &rows).unwrap_err().to_string()
    };
    let wide = with(vec![0.0; width * 2 + 1], Vec::new());
    assert!(width == 1 || wide.contains(&format!("[n, {width}]")), "{wide}");
    let masked = with(vec![0.0; width], vec![true; 1000]);
    assert!(masked.contains("recorded masks"), "{masked}");
    for name in ["", "9lives", "a-b", "ä"] {
        let order = Order { name: name.into(), ..order(Format::Bin, Quantize::None) };
        let error = export(&policy, &order, &Rows::default()).unwrap_err().to_string();
        assert!(error.contains("a name of letters, digits and _"), "{error}");
    }
}

#[test]
fn one_bit_is_a_difference() {
    let policy = (0..).map(|seed| cases::policy(seed, SMALL)).find(|p| !p.ensemble().trees().is_empty()).unwrap();
    let edge = cases::flat(&policy, Quantize::None, true);
    let rows = cases::rows(&edge, 20, false, &mut Stream::new(17, "rows", 0));
    let library = Outputs::of_library(&policy, &edge, &rows).unwrap();
    let same = Disagreement::between(&edge, &library, &library.clone());
    assert!(same.must_be_exact("demo").is_ok() && same.agreement() == 1.0);
    for alter in [
        (|out: &mut Outputs| out.logits[3] = f32::from_bits(out.logits[3].to_bits() ^ 1)) as fn(&mut Outputs),
        |out| out.values[5] = -out.values[5] - 1e-6,
        |out| out.actions[7] += 1.0,
        |out| out.actions.truncate(1),
    ] {
        let mut got = library.clone();
        alter(&mut got);
        let error = Disagreement::between(&edge, &library, &got).must_be_exact("demo").unwrap_err();
        assert!(error.to_string().contains("the library's outputs to the bit"), "{error}");
    }
}

#[test]
fn recorded_states_are_read_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let file = |tensors: &[(&str, &str, &[usize], Vec<u8>)]| {
        let mut header = String::new();
        let mut data: Vec<u8> = Vec::new();
        for (name, dtype, shape, bytes) in tensors {
            let range = (data.len(), data.len() + bytes.len());
            data.extend(bytes);
            let comma = if header.is_empty() { "" } else { "," };
            header += &format!(
                "{comma}\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[{},{}]}}",
                range.0, range.1
            );
        }
        let header = format!("{{{header}}}");
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        let path = folder.path().join("states.safetensors");
        std::fs::write(&path, bytes).unwrap();
        Rows::load(&path, 2)
    };
    let numbers = |n: usize| (0..n).flat_map(|i| (i as f32).to_le_bytes()).collect::<Vec<u8>>();
    let rows = file(&[("observations", "F32", &[2, 2], numbers(4)), ("masks", "U8", &[2, 3], vec![1, 0, 1, 1, 1, 0])]);
    let rows = rows.unwrap();
    assert_eq!(rows.observations, [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(rows.masks, [true, false, true, true, true, false]);
    for (tensors, message) in [
        (vec![("observations", "F32", &[4usize, 1][..], numbers(4))], "shape [at least 1, 2], got F32 [4, 1]"),
        (vec![("observations", "F32", &[0, 2][..], Vec::new())], "shape [at least 1, 2], got F32 [0, 2]"),
        (vec![("observations", "I32", &[2, 2][..], numbers(4))], "got I32 [2, 2]"),
        (vec![("other", "F32", &[2, 2][..], numbers(4))], "observations"),
        (
            vec![("observations", "F32", &[2, 2][..], numbers(4)), ("masks", "U8", &[1, 3], vec![1; 3])],
            "U8 of shape [2, mask_len], got U8 [1, 3]",
        ),
    ] {
        let error = file(&tensors).unwrap_err();
        assert!(error.class() == ErrorClass::Format && error.to_string().contains(message), "{error}");
    }
    assert_eq!(Rows::load(folder.path().join("none"), 2).unwrap_err().class(), ErrorClass::NotFound);
}
