//! Plain gradient boosting with vector leaves: one ensemble learns two targets from numbers, a category and gaps.
//!
//! `cargo run --release -p gbrl-examples --example supervised`

#![allow(clippy::print_stdout)]

use gbrl_core::boost::Booster;
use gbrl_core::config::TreeParams;
use gbrl_core::data::{Feature, FeatureSchema};
use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
use gbrl_core::rng::Stream;
use ndarray::{Array2, Axis};

fn main() -> gbrl_core::Result<()> {
    // Three columns: a house's area, its age (sometimes unknown), and the town, a string.
    let mut town = Feature::strings("town");
    let towns = ["Ashford", "Brook", "Cley"];
    let mut stream = Stream::new(0, "houses", 0);
    let n = 2_000;
    let mut x = Array2::zeros((n, 3));
    let mut y = Array2::zeros((n, 2));
    for i in 0..n {
        let (area, age, which) = (stream.range(40.0, 200.0), stream.range(0.0, 80.0), stream.below(3) as usize);
        let known = stream.uniform() > 0.2;
        x[[i, 0]] = area as f32;
        x[[i, 1]] = if known { age as f32 } else { f32::NAN };
        x[[i, 2]] = town.learn(towns[which])?;
        // Price in thousands and heating cost: two outputs of the same trees.
        y[[i, 0]] = (2.0 * area - 0.8 * age + [0.0, 60.0, -20.0][which] + 5.0 * stream.normal()) as f32;
        y[[i, 1]] = (0.1 * area + 0.3 * age + stream.normal()) as f32;
    }

    let schema = FeatureSchema::new(vec![Feature::numeric("area"), Feature::numeric("age"), town]);
    let groups = vec![
        OutputGroup::sgd("price", 0..1, Schedule::Constant(0.2)),
        OutputGroup::sgd("heating", 1..2, Schedule::Constant(0.1)),
    ];
    let mut booster = Booster::new(Ensemble::new(schema, groups)?, TreeParams::default(), 0, 0)?;

    let (train, test) = x.view().split_at(Axis(0), 1_600);
    let (train_y, test_y) = y.view().split_at(Axis(0), 1_600);
    let losses = booster.fit(train, train_y, 200)?;
    println!("training loss {:.1} after 1 tree, {:.1} after {}", losses[0], losses[199], booster.n_trees());

    let out = booster.predict_array(test)?;
    for (column, name) in ["price", "heating"].into_iter().enumerate() {
        let error = (&out - &test_y).column(column).mapv(|e| e * e).mean().unwrap_or(f32::NAN).sqrt();
        let spread = test_y.column(column).std(0.0);
        println!("{name}: typical error {error:.1}, typical spread {spread:.1}");
    }
    Ok(())
}
