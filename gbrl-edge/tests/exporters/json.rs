//! JSON: whole, and read back without loss.

use gbrl_core::export::check::Disagreement;
use gbrl_core::export::json::Json;
use gbrl_core::export::{Exporter, Outputs, Quantize};
use gbrl_core::rng::Stream;

use crate::cases::{self, SMALL};

#[test]
fn what_is_read_back_decides_alike_and_is_written_alike() {
    let mut stream = Stream::new(11, "rows", 0);
    for policy in (0..200).map(|seed| cases::policy(seed, SMALL)).filter(cases::is_storable).take(40) {
        let edge = cases::flat(&policy, Quantize::None, true);
        let details = cases::details(&policy, &edge, &mut stream);
        let write = |policy| Json::new(policy).unwrap().export(&edge, &details).unwrap().files.remove(0);
        let (name, text) = write(&policy);
        assert_eq!(name, "demo.json");
        let read = Json::read(std::str::from_utf8(&text).unwrap(), 1).unwrap();
        let rows = cases::rows(&edge, 100, edge.mask_len() > 0, &mut stream);
        let outputs = |policy| Outputs::of_library(policy, &edge, &rows).unwrap();
        assert!(Disagreement::between(&edge, &outputs(&policy), &outputs(&read)).exact);
        assert_eq!(write(&read).1, text);
    }
}

#[test]
fn other_text_is_refused() {
    let policy = (0..).map(|seed| cases::policy(seed, SMALL)).find(cases::is_storable).unwrap();
    let text = Json::new(&policy).unwrap();
    let edge = cases::flat(&policy, Quantize::None, true);
    let details = cases::details(&policy, &edge, &mut Stream::new(0, "rows", 0));
    let text = String::from_utf8(text.export(&edge, &details).unwrap().files.remove(0).1).unwrap();
    for other in ["", "{}", "[1]", &text[..text.len() / 2], &text.replacen(':', ": null, \"x\":", 1)] {
        assert!(Json::read(other, 1).is_err(), "{other}");
    }
}
