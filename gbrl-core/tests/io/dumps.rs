//! JSON that people edited, and graphs that a DOT reader accepts.

use gbrl_core::ErrorClass;
use gbrl_core::io::{dot, json, text};
use gbrl_core::tree::{Shape, Tree};

use crate::models::golden;

/// Reads a graph as DOT's grammar has it: one statement per line, strings closed, no raw control character, every
/// node declared once, every edge between declared nodes, one parent each.
pub fn check_dot(graph: &str, tree: &Tree) {
    let mut lines = graph.lines();
    assert!(lines.next().unwrap().starts_with("digraph tree_"));
    assert!(lines.next().unwrap().starts_with("  node ["));
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    for line in lines {
        if line == "}" {
            break;
        }
        assert!(!line.chars().any(char::is_control), "{line:?}");
        let (head, label) = line.trim().split_once(" [label=\"").unwrap();
        let mut chars = label.chars();
        // The string ends at the first quote that no backslash stands before.
        loop {
            match chars.next().expect("a closed string") {
                '\\' => assert!(matches!(chars.next(), Some('\\' | '"' | 'n')), "{line}"),
                '"' => break,
                '&' => assert!(chars.as_str().starts_with("amp;"), "{line}"),
                _ => {}
            }
        }
        assert!(["];", ", style=rounded];"].contains(&chars.as_str()), "{line}");
        match head.split_once(" -> ") {
            Some((from, to)) => edges.push((from.to_owned(), to.to_owned())),
            None => nodes.push(head.to_owned()),
        }
    }
    assert!(graph.ends_with("}\n"));
    nodes.sort();
    let inner = match tree.shape() {
        Shape::Oblivious(_) => tree.n_leaves() - 1,
        Shape::Binary(nodes) => nodes.len(),
    };
    assert_eq!((nodes.len(), edges.len()), (inner + tree.n_leaves(), 2 * inner));
    let mut children: Vec<String> = edges.iter().map(|(_, to)| to.clone()).collect();
    children.push(if inner == 0 { "l0" } else { "n0" }.to_owned());
    children.sort();
    assert_eq!(children, nodes);
    assert!(edges.iter().all(|(from, _)| nodes.binary_search(from).is_ok()));
}

#[test]
fn golden_graphs_are_valid() {
    let model = golden();
    for (i, tree) in model.ensemble.trees().iter().enumerate() {
        check_dot(&dot::tree_dot(&model.ensemble, i).unwrap(), tree);
    }
}

#[test]
fn an_oblivious_graph_leads_where_the_tree_does() {
    let model = golden();
    let graph = dot::tree_dot(&model.ensemble, 0).unwrap();
    let tree = &model.ensemble.trees()[0];
    let row = [1.0, 0.0, 0.0, f32::NAN];
    let Shape::Oblivious(splits) = tree.shape() else { panic!("the first golden tree is oblivious") };
    let mut at = "n0".to_owned();
    for split in splits {
        let answer = if split.goes_right(&row) { "yes" } else { "no" };
        let edge = graph.lines().find(|l| l.starts_with(&format!("  {at} -> ")) && l.contains(&format!("\"{answer}")));
        at = edge.unwrap().split(' ').nth(4).unwrap().to_owned();
    }
    assert_eq!(at, format!("l{}", tree.leaf_idx(&row)));
}

#[test]
fn a_tree_that_is_not_there_is_refused() {
    let model = golden();
    assert_eq!(text::tree_text(&model.ensemble, 4).unwrap_err().class(), ErrorClass::Value);
    assert_eq!(dot::tree_dot(&model.ensemble, usize::MAX).unwrap_err().class(), ErrorClass::Value);
}

#[test]
fn edited_json_is_accepted_or_refused_with_a_reason() {
    let written = json::to_json(&golden()).unwrap();
    let edit = |from: &str, to: &str| {
        assert!(written.contains(from), "{from}");
        json::from_json(&written.replacen(from, to, 1))
    };
    assert_eq!(edit(r#""label":"a\tb\\c","#, "").unwrap(), golden(), "labels may be left out");
    let mut changed = golden();
    changed.extra["clip"] = serde_json::json!(0.25);
    assert_eq!(edit(r#""clip":0.2"#, r#""clip":0.25"#).unwrap(), changed);
    for (from, to, reason) in [
        (r#""version": 1"#, r#""version": 2"#, "unknown version"),
        (r#""format": "gbrl-rs model""#, r#""format": "other""#, "not a model of ours"),
        (r#""label":"a\tb\\c""#, r#""label":"red""#, "another category's label"),
        (r#""name":"speed","test""#, r#""name":"sped","test""#, "another feature's name"),
        (r#""feature":0"#, r#""feature":4"#, "feature does not exist"),
        (r#""gain":2.5"#, r#""gain":1e39"#, "gain"),
        (r#""gain":2.5"#, r#""gain":2.5,"loss":1"#, "invalid contents"),
        (r#""threshold":"inf""#, r#""threshold":"nan""#, "threshold"),
        (r#""code":3"#, r#""code":4"#, "category does not exist"),
        (r#""code":3"#, r#""code":4294967295"#, "category does not exist"),
        (r#""left": {"node":2}"#, r#""left":{"node":0}"#, "nodes do not form a tree"),
        (r#""left": {"node":2}"#, r#""left":{"leaf":4294967295}"#, "nodes do not form a tree"),
        (r#""values":[0.25]"#, r#""values":[0.25,1.0]"#, "parts differ in length"),
        (r#""values":[0.25]"#, r#""values":["inf"]"#, "not finite"),
        (r#""rates": [0.085,0.085]"#, r#""rates": [0.085]"#, "parts differ in length"),
        (r#""rates": [0.085,0.085]"#, r#""rates": [0.085,-0.085]"#, "rate out of range"),
        (r#""rates": [0.085,0.085]"#, r#""rates": [0.085,"inf"]"#, "rate out of range"),
        (r#"[{"edges":["#, r#"[null,{"edges":["#, "not one entry per feature"),
        (r#""edges":[],"missing":false"#, r#""edges":[],"missing":null"#, "invalid contents"),
        (r#""edges":[],"missing":false"#, r#""edges":[0.5,0.25],"missing":false"#, "edges out of order"),
        (r#""edges":[],"missing":false"#, r#""edges":[0.5,0.5],"missing":false"#, "edges out of order"),
        (r#""edges":[],"missing":false"#, r#""edges":["nan"],"missing":false"#, "edge"),
        (r#"{"edges":[],"missing":false}"#, "null", "codes of a numeric feature"),
        (r#"},null,null"#, r#"},{"edges":[],"missing":false},null"#, "edges of a categorical feature"),
        (r#""columns":[2,3]"#, r#""columns":[3,2]"#, ""),
        (r#""columns":[2,3]"#, r#""columns":[0,18446744073709551615]"#, ""),
    ] {
        let error = edit(from, to).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Format, "{error}");
        assert!(error.to_string().contains(reason), "{to}: {error}");
    }
}
