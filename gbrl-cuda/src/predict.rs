//! Prediction on the device: its copy of the trees, which follows the host's.

use std::ops::Range;

use gbrl_core::backend::Addition;
use gbrl_core::data::{Lanes, TILE};
use gbrl_core::error::Result;
use gbrl_core::tree::{Child, Shape, Split, Tree};

use crate::device::{Buffer, Device};
use crate::launch::{self, Kernels, Laid, Question};

/// The trees of an ensemble on the device, and room for rows.
#[derive(Default)]
pub struct Forest {
    /// Which list of trees this is.
    stamp: u64,
    /// Trees, and behind them one that says where their questions and values end.
    trees: Buffer<Laid>,
    questions: Buffer<Question>,
    values: Buffer<f32>,
    end: Laid,
    rows: Rows,
}

/// Rows on the device and their outputs.
#[derive(Default)]
pub struct Rows {
    observations: Buffer<f32>,
    /// `[tile][n_features][16]`.
    keys: Buffer<u32>,
    n_features: usize,
    /// `[tile][n_outputs][16]`.
    pub outputs: Buffer<f32>,
    n_outputs: usize,
}

impl Rows {
    /// Sends rows, and their outputs so far.
    pub fn keep(
        &mut self,
        device: &Device,
        kernels: &Kernels,
        (tiles, n_features): (&[Lanes<f32>], usize),
        outputs: &[Lanes<f32>],
        n_outputs: usize,
    ) -> Result<()> {
        (self.n_features, self.n_outputs) = (n_features, n_outputs);
        self.observations.fill(device, launch::numbers(tiles))?;
        self.keys.resize(device, tiles.len() * TILE, false)?;
        kernels.make_keys(device, &self.observations, &mut self.keys)?;
        self.outputs.fill(device, launch::numbers(outputs))
    }
}

impl Forest {
    /// Adds the trees of `addition` to `sums`.
    pub fn add(
        &mut self,
        device: &Device,
        kernels: &Kernels,
        addition: &Addition<'_>,
        sums: &mut [Lanes<f32>],
    ) -> Result<()> {
        if addition.range.is_empty() || addition.columns.is_empty() || sums.is_empty() {
            return Ok(());
        }
        self.follow(device, addition.trees, addition.stamp)?;
        let mut rows = std::mem::take(&mut self.rows);
        let added = rows.keep(device, kernels, (addition.tiles, addition.n_features), sums, addition.n_outputs);
        let added = added.and_then(|()| {
            self.advance(device, kernels, &mut rows, addition.range.clone(), addition.columns.clone())?;
            rows.outputs.fetch(device, 0, launch::numbers_mut(sums))
        });
        self.rows = rows;
        added
    }

    /// Adds trees that are there to outputs `columns` of rows.
    pub fn advance(
        &self,
        device: &Device,
        kernels: &Kernels,
        rows: &mut Rows,
        range: Range<usize>,
        columns: Range<usize>,
    ) -> Result<()> {
        let forest = launch::Forest { trees: &self.trees, questions: &self.questions, values: &self.values };
        let (keys, out) = ((&rows.keys, rows.n_features), (&mut rows.outputs, rows.n_outputs));
        kernels.predict(device, keys, (&forest, range), columns, out)
    }

    /// Sends the trees that are not there yet.
    pub fn follow(&mut self, device: &Device, all: &[Tree], stamp: u64) -> Result<()> {
        let known = self.trees.len().saturating_sub(1);
        if self.stamp != stamp || known > all.len() || self.trees.len() == 0 {
            self.forget();
        }
        let known = self.trees.len().saturating_sub(1);
        let new = &all[known..];
        if new.is_empty() && self.trees.len() > 0 {
            return Ok(());
        }
        let (mut trees, mut questions, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut end = self.end;
        for tree in new {
            let own = lay_out(tree, &mut questions);
            values.extend_from_slice(tree.values());
            let (first_column, n_columns) = (tree.columns().start as u32, tree.columns().len() as u32);
            let n_questions = own.n_questions;
            trees.push(Laid {
                first_column,
                n_columns,
                first_question: end.first_question,
                first_value: end.first_value,
                ..own
            });
            end.first_question += u64::from(n_questions);
            end.first_value += tree.values().len() as u64;
        }
        trees.push(end);
        let sent = self.send(device, &trees, &questions, &values);
        match &sent {
            Ok(()) => (self.end, self.stamp) = (end, stamp),
            // Nothing is known of what is there now.
            Err(_) => self.forget(),
        }
        sent
    }

    fn send(&mut self, device: &Device, trees: &[Laid], questions: &[Question], values: &[f32]) -> Result<()> {
        self.questions.append(device, questions)?;
        self.values.append(device, values)?;
        // Over the one that said where the others ended.
        self.trees.truncate(self.trees.len().saturating_sub(1));
        self.trees.append(device, trees)
    }

    fn forget(&mut self) {
        self.trees.truncate(0);
        self.questions.truncate(0);
        self.values.truncate(0);
        self.end = Laid::default();
    }
}

/// Appends the questions of a tree.
fn lay_out(tree: &Tree, questions: &mut Vec<Question>) -> Laid {
    let first = questions.len();
    let mut ask = |split: &Split, left, right| {
        let [low, width] = split.test.key_range();
        questions.push(Question { feature: split.feature_idx, low, width, left, right });
    };
    let oblivious = match tree.shape() {
        Shape::Oblivious(splits) => {
            splits.iter().for_each(|split| ask(split, 0, 0));
            true
        }
        Shape::Binary(nodes) => {
            let place = |child| match child {
                Child::Node(node) => node as i32,
                Child::Leaf(leaf) => !(leaf as i32),
            };
            nodes.iter().for_each(|node| ask(&node.split, place(node.left), place(node.right)));
            false
        }
    };
    Laid { n_questions: (questions.len() - first) as u32, oblivious: oblivious.into(), ..Laid::default() }
}
