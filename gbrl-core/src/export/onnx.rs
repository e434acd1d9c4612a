//! ONNX: the trees as ai.onnx.ml's TreeEnsembleRegressor 3, the action head in standard operators.
//!
//! Inputs: `obs` float `[N, n_features]` and, where actions are discrete, `mask` bool `[N, mask_len]`, which may be left
//! out. Outputs: `action`, `logits` (or means) and, if exported, `value`. Normalisation is inside the thresholds.
//! A runtime adds the leaves in an order of its own, so outputs are equal to the library's up to rounding: in the order of
//! 10⁻⁶ of the logits where onnxruntime was tried.

use super::form::{EdgeHead, EdgePolicy, Form, SlotKind, SlotTest, number};
use super::leaves::{Leaves, Sums};
use super::protobuf::Message;
use super::{Artefact, Details, Exporter};
use crate::error::Result;
use crate::tree::Child;

/// The exporter of `--format onnx`.
#[derive(Clone, Copy, Debug)]
pub struct Onnx;

const FLOAT: i64 = 1;
const INT64: i64 = 7;
const BOOL: i64 = 9;
const DOUBLE: i64 = 11;

impl Exporter for Onnx {
    fn format(&self) -> &'static str {
        "onnx"
    }

    fn export(&self, policy: &EdgePolicy, details: &Details) -> Result<Artefact> {
        let mut graph = Graph::default();
        graph.inputs.push(value_info("obs", FLOAT, "N", policy.n_features));
        let ensemble = Ensemble::new(policy);
        // Not the regressor's base_values: onnxruntime forgets them where no tree adds to an output.
        graph.floats("beginnings", &ensemble.bias);
        graph.nodes.push(ensemble.node(policy));
        graph.then("Add", &["sums", "beginnings"], "outputs");
        let n = policy.n_logits as i64;
        graph.slice("outputs", "logits", 0, n, 1);
        graph.outputs.push(value_info("logits", FLOAT, "N", policy.n_logits));
        if policy.has_value {
            graph.slice("outputs", "value", n, n + 1, 1);
            graph.outputs.push(value_info("value", FLOAT, "N", 1));
        }
        graph.action(policy);
        let graph = Message::new()
            .messages(1, graph.nodes)
            .text(2, &details.prefix)
            .messages(5, graph.constants)
            .text(10, &details.about)
            .messages(11, graph.inputs)
            .messages(12, graph.outputs);
        let opset = |domain: &str, version| Message::new().text(1, domain).int(2, version);
        let model = Message::new()
            .int(1, 8)
            .text(2, "gbrl-rs")
            .text(3, crate::VERSION)
            .message(7, graph)
            .message(8, opset("", 17))
            .message(8, opset("ai.onnx.ml", 3));
        Ok(Artefact { files: vec![(format!("{}.onnx", details.prefix), model.into_bytes())] })
    }
}

/// A tensor `[rows, width]`.
fn value_info(name: &str, kind: i64, rows: &str, width: usize) -> Message {
    let dims = [Message::new().text(2, rows), Message::new().int(1, width as i64)];
    let tensor = Message::new().int(1, kind).message(2, Message::new().messages(1, dims));
    Message::new().text(1, name).message(2, Message::new().message(1, tensor))
}

fn node(kind: &str, inputs: &[&str], output: &str, attributes: Vec<Message>) -> Message {
    let with_inputs = inputs.iter().fold(Message::new(), |node, input| node.text(1, input));
    with_inputs.text(2, output).text(3, &format!("make_{output}")).text(4, kind).messages(5, attributes)
}

fn int_attribute(name: &str, x: i64) -> Message {
    Message::new().text(1, name).int(3, x).int(20, 2)
}

#[derive(Default)]
struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
}

impl Graph {
    fn constant(&mut self, name: &str, kind: i64, dims: &[usize], raw: Vec<u8>) {
        let tensor = Message::new().ints(1, dims.iter().map(|&n| n as i64)).int(2, kind);
        self.constants.push(tensor.text(8, name).bytes(9, &raw));
    }

    fn longs(&mut self, name: &str, xs: &[i64]) {
        self.constant(name, INT64, &[xs.len()], xs.iter().flat_map(|x| x.to_le_bytes()).collect());
    }

    fn floats(&mut self, name: &str, xs: &[f32]) {
        self.constant(name, FLOAT, &[xs.len()], xs.iter().flat_map(|x| x.to_le_bytes()).collect());
    }

    fn doubles(&mut self, name: &str, xs: &[f64]) {
        self.constant(name, DOUBLE, &[xs.len()], xs.iter().flat_map(|x| x.to_le_bytes()).collect());
    }

    /// Appends a node and gives its output's name back.
    fn then(&mut self, kind: &str, inputs: &[&str], output: &str) -> String {
        self.nodes.push(node(kind, inputs, output, Vec::new()));
        output.to_owned()
    }

    fn cast(&mut self, input: &str, output: &str, kind: i64) -> String {
        self.nodes.push(node("Cast", &[input], output, vec![int_attribute("to", kind)]));
        output.to_owned()
    }

    /// Columns `from..to` in steps.
    fn slice(&mut self, input: &str, output: &str, from: i64, to: i64, step: i64) -> String {
        let names = ["from", "to", "axis", "step"].map(|what| format!("{output}_{what}"));
        for (name, x) in names.iter().zip([from, to, 1, step]) {
            self.longs(name, &[x]);
        }
        let [from, to, axis, step] = &names;
        self.then("Slice", &[input, from, to, axis, step], output)
    }

    fn action(&mut self, policy: &EdgePolicy) {
        if policy.mask_len() > 0 {
            // An initialiser of an input's name is its default. It has one row, so the input's rows are not called N: a
            // runtime would take the one for the other's number.
            self.inputs.push(value_info("mask", BOOL, "N_or_1", policy.mask_len()));
            self.constant("mask", BOOL, &[1, policy.mask_len()], vec![1; policy.mask_len()]);
        }
        match &policy.head {
            EdgeHead::Discrete(parts) => {
                self.floats("forbidden", &[f32::NEG_INFINITY]);
                let (mut choices, mut from) = (Vec::new(), 0);
                for (i, part) in parts.iter().enumerate() {
                    let (to, name) = (from + i64::from(part.n), |what: &str| format!("{what}_{i}"));
                    let logits = self.slice("logits", &name("logits"), from, to, 1);
                    let mask = self.slice("mask", &name("mask"), from, to, 1);
                    let allowed = self.then("Where", &[&mask, &logits, "forbidden"], &name("allowed"));
                    let attributes = vec![int_attribute("axis", 1), int_attribute("keepdims", 1)];
                    self.nodes.push(node("ArgMax", &[&allowed], &name("index"), attributes));
                    self.longs(&name("start"), &[i64::from(part.start)]);
                    choices.push(self.then("Add", &[&name("index"), &name("start")], &name("choice")));
                    from = to;
                }
                let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
                self.nodes.push(node("Concat", &choices, "action", vec![int_attribute("axis", 1)]));
                self.outputs.push(value_info("action", INT64, "N", parts.len()));
            }
            EdgeHead::MultiBinary(n) => {
                let all = 2 * *n as i64;
                self.floats("zero", &[0.0]);
                let (no, yes) = (self.slice("mask", "no", 0, all, 2), self.slice("mask", "yes", 1, all, 2));
                let likelier = self.then("Greater", &["logits", "zero"], "likelier");
                let must = self.then("Not", &[&no], "must");
                let wanted = self.then("Or", &[&likelier, &must], "wanted");
                let bits = self.then("And", &[&wanted, &yes], "bits");
                self.cast(&bits, "action", INT64);
                self.outputs.push(value_info("action", INT64, "N", *n));
            }
            EdgeHead::Box(bounds) | EdgeHead::SquashedBox(bounds) => {
                let mut means = String::from("logits");
                if matches!(policy.head, EdgeHead::SquashedBox(_)) {
                    let wide = |f: fn((f64, f64)) -> f64| -> Vec<f64> {
                        bounds.iter().map(|&(low, high)| f((f64::from(low), f64::from(high)))).collect()
                    };
                    self.doubles("one", &[1.0]);
                    self.doubles("half", &[0.5]);
                    self.doubles("range", &wide(|(low, high)| high - low));
                    self.doubles("origin", &wide(|(low, _)| low));
                    let raw = self.cast("logits", "raw", DOUBLE);
                    let tanh = self.then("Tanh", &[&raw], "tanh");
                    let above = self.then("Add", &[&tanh, "one"], "above");
                    let share = self.then("Mul", &[&above, "half"], "share");
                    let scaled = self.then("Mul", &[&share, "range"], "scaled");
                    let moved = self.then("Add", &[&scaled, "origin"], "moved");
                    means = self.cast(&moved, "squashed", FLOAT);
                }
                let (low, high): (Vec<f32>, Vec<f32>) = bounds.iter().copied().unzip();
                self.floats("low", &low);
                self.floats("high", &high);
                let above = self.then("Max", &[&means, "low"], "not_below");
                self.then("Min", &[&above, "high"], "action");
                self.outputs.push(value_info("action", FLOAT, "N", bounds.len()));
            }
        }
    }
}

/// The attributes of the regressor: nodes of all trees, and what their leaves add.
#[derive(Default)]
struct Ensemble {
    tree: i64,
    trees: Vec<i64>,
    ids: Vec<i64>,
    features: Vec<i64>,
    values: Vec<f32>,
    modes: Vec<&'static str>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing_yes: Vec<i64>,
    target_trees: Vec<i64>,
    target_nodes: Vec<i64>,
    targets: Vec<i64>,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Ensemble {
    fn new(policy: &EdgePolicy) -> Self {
        let columns = sum_columns(policy);
        let (bias, leaves) = as_floats(policy);
        let mut out =
            Ensemble { bias: vec![0.0; policy.n_logits + usize::from(policy.has_value)], ..Ensemble::default() };
        columns.iter().zip(bias).for_each(|(&column, bias)| out.bias[column as usize] = bias);
        let (mut test, mut size, mut child, mut leaf) = (0, 0, 0, 0);
        for run in &policy.runs {
            let (first, width) = (run.first as usize, run.width as usize);
            let adds = &columns[first..first + width];
            for _ in 0..run.n_trees {
                let (n_tests, n_leaves) = match run.form {
                    Form::Oblivious(depth) => (usize::from(depth), 1 << depth),
                    Form::Binary => (usize::from(policy.sizes[size]), usize::from(policy.sizes[size]) + 1),
                };
                let tests = &policy.tests[test..test + n_tests];
                match run.form {
                    Form::Oblivious(depth) => {
                        // Heap order: the nodes of a level lie side by side, leaves last.
                        for (level, &test) in tests.iter().enumerate() {
                            for i in 0..1i64 << level {
                                let id = (1 << level) - 1 + i;
                                out.inner(policy, id, test, 2 * id + 1, 2 * id + 2);
                            }
                        }
                        for i in 0..n_leaves {
                            let row = leaf + i * width;
                            out.leaf((1 << depth) - 1 + i as i64, adds, &leaves[row..row + width]);
                        }
                    }
                    Form::Binary => {
                        let links = &policy.children[child..child + n_tests];
                        let id = |child| match child {
                            Child::Node(node) => i64::from(node),
                            Child::Leaf(leaf) => n_tests as i64 + i64::from(leaf),
                        };
                        for (i, (&test, link)) in tests.iter().zip(links).enumerate() {
                            out.inner(policy, i as i64, test, id(link[0]), id(link[1]));
                        }
                        for i in 0..n_leaves {
                            let row = leaf + i * width;
                            out.leaf((n_tests + i) as i64, adds, &leaves[row..row + width]);
                        }
                        size += 1;
                        child += n_tests;
                    }
                }
                test += n_tests;
                leaf += n_leaves * width;
                out.tree += 1;
            }
        }
        if out.tree == 0 {
            out.leaf(0, &[0], &[0.0]); // an ensemble has at least one tree
        }
        out
    }

    fn push(&mut self, id: i64, feature: i64, value: f32, mode: &'static str, no: i64, yes: i64, missing_yes: bool) {
        self.trees.push(self.tree);
        self.ids.push(id);
        self.features.push(feature);
        self.values.push(value);
        self.modes.push(mode);
        self.no.push(no);
        self.yes.push(yes);
        self.missing_yes.push(i64::from(missing_yes));
    }

    fn inner(&mut self, policy: &EdgePolicy, id: i64, test: SlotTest, no: i64, yes: i64) {
        let slot = &policy.slots[usize::from(test.slot)];
        let value = number(slot.keys[usize::from(test.key)]);
        let (mode, value) = match slot.kind {
            SlotKind::Equal => ("BRANCH_EQ", value),
            // The key below −∞, which every number exceeds.
            _ if value.is_nan() => ("BRANCH_GTE", f32::NEG_INFINITY),
            _ => ("BRANCH_GT", value),
        };
        self.push(id, i64::from(slot.feature), value, mode, no, yes, slot.kind == SlotKind::MissingRight);
    }

    fn leaf(&mut self, id: i64, columns: &[i64], values: &[f32]) {
        self.push(id, 0, 0.0, "LEAF", 0, 0, false);
        for (&column, &value) in columns.iter().zip(values) {
            self.target_trees.push(self.tree);
            self.target_nodes.push(id);
            self.targets.push(column);
            self.weights.push(value);
        }
    }

    fn node(self, policy: &EdgePolicy) -> Message {
        let ints = |name: &str, xs: Vec<i64>| Message::new().text(1, name).ints(8, xs).int(20, 7);
        let floats = |name: &str, xs: &[f32]| Message::new().text(1, name).floats(7, xs).int(20, 6);
        let modes = self.modes.iter().fold(Message::new().text(1, "nodes_modes"), |to, mode| to.text(9, mode));
        let text = |name: &str, text: &str| Message::new().text(1, name).text(4, text).int(20, 3);
        let attributes = vec![
            ints("nodes_treeids", self.trees),
            ints("nodes_nodeids", self.ids),
            ints("nodes_featureids", self.features),
            floats("nodes_values", &self.values),
            modes.int(20, 8),
            ints("nodes_truenodeids", self.yes),
            ints("nodes_falsenodeids", self.no),
            ints("nodes_missing_value_tracks_true", self.missing_yes),
            ints("target_treeids", self.target_trees),
            ints("target_nodeids", self.target_nodes),
            ints("target_ids", self.targets),
            floats("target_weights", &self.weights),
            int_attribute("n_targets", (policy.n_logits + usize::from(policy.has_value)) as i64),
            text("aggregate_function", "SUM"),
            text("post_transform", "NONE"),
        ];
        node("TreeEnsembleRegressor", &["obs"], "sums", attributes).text(7, "ai.onnx.ml")
    }
}

/// The output column of each sum.
fn sum_columns(policy: &EdgePolicy) -> Vec<i64> {
    let n = policy.n_logits as i64;
    let mut columns = Vec::new();
    match (&policy.head, &policy.sums) {
        (EdgeHead::Discrete(parts), Sums::Integer { .. }) => {
            let mut from = 0;
            for part in parts {
                columns.extend(from + 1..from + i64::from(part.n));
                from += i64::from(part.n);
            }
        }
        _ => columns.extend(0..n),
    }
    columns.extend(policy.has_value.then_some(n));
    columns
}

/// Beginnings and leaves as numbers.
fn as_floats(policy: &EdgePolicy) -> (Vec<f32>, Vec<f32>) {
    match &policy.sums {
        Sums::Float { bias, leaves } => (bias.clone(), leaves.clone()),
        Sums::Integer { bias, scales, leaves } => {
            let whole: Vec<f32> = match leaves {
                Leaves::Int16(leaves) => leaves.iter().map(|&q| f32::from(q)).collect(),
                Leaves::Int8(leaves) => leaves.iter().map(|&q| f32::from(q)).collect(),
            };
            let mut out = Vec::with_capacity(whole.len());
            let (mut at, mut size) = (0, 0);
            for run in &policy.runs {
                let scales = &scales[run.first as usize..(run.first + run.width) as usize];
                for _ in 0..run.n_trees {
                    let n_leaves = match run.form {
                        Form::Oblivious(depth) => 1 << depth,
                        Form::Binary => {
                            size += 1;
                            usize::from(policy.sizes[size - 1]) + 1
                        }
                    };
                    let values = &whole[at..at + n_leaves * scales.len()];
                    out.extend(values.iter().zip(scales.iter().cycle()).map(|(q, scale)| q * scale));
                    at += values.len();
                }
            }
            (bias.iter().zip(scales).map(|(&q, &scale)| q as f32 * scale).collect(), out)
        }
    }
}
