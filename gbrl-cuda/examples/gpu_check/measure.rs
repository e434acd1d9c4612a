//! Timing of steps, updates and predictions; every call returns when its results are back.

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

use gbrl_core::backend::cpu::CpuBackend;
use gbrl_core::backend::{Backend, MakeBackend};
use gbrl_core::boost::Booster;
use gbrl_core::config::{Device, Edges, GrowPolicy, Settings, SplitScore, TreeParams};
use gbrl_core::data::FeatureSchema;
use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
use gbrl_core::error::Result as CoreResult;
use gbrl_core::rl::algo::Agent;
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::event::Metrics;
use gbrl_core::rl::space::Space;
use gbrl_core::rl::vec_env::VecEnv;
use gbrl_core::rng::Stream;
use gbrl_core::threads::Threads;
use gbrl_cuda::CudaBackend;

/// Rows, features and outputs of a step.
#[derive(Clone, Copy)]
pub struct Shape {
    pub n_rows: usize,
    pub n_features: usize,
    pub n_outputs: usize,
}

/// Standard normal numbers.
pub fn normal(stream: &mut Stream, n: usize) -> Vec<f32> {
    (0..n).map(|_| stream.normal() as f32).collect()
}

/// A booster without trees, on the device or else on the processor; edges are fixed.
pub fn booster(
    shape: &Shape,
    grow_policy: GrowPolicy,
    split_score: SplitScore,
    device: Option<CudaBackend>,
    n_threads: usize,
) -> Result<Booster, Box<dyn Error>> {
    let group = OutputGroup::sgd("outputs", 0..shape.n_outputs, Schedule::Constant(0.1));
    let ensemble = Ensemble::new(FeatureSchema::numeric(shape.n_features), vec![group])?;
    let params = TreeParams { grow_policy, split_score, edges: Edges::Fixed, ..TreeParams::default() };
    let threads = Threads::new(n_threads)?;
    let backend: Box<dyn Backend> = match device {
        Some(device) => Box::new(device),
        None => Box::new(CpuBackend::new(threads.clone())?),
    };
    Ok(Booster::with_backend(ensemble, params, 0, threads, backend)?)
}

/// The median of at least `least` calls and half a second, after three that warm up, in seconds.
fn median<E>(least: usize, quick: bool, mut call: impl FnMut() -> Result<f64, E>) -> Result<f64, E> {
    for _ in 0..if quick { 1 } else { 3 } {
        call()?;
    }
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < least || (!quick && start.elapsed().as_secs_f64() < 0.5) {
        times.push(call()?);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[(times.len() - 1) / 2])
}

fn seconds<T, E>(call: impl FnOnce() -> Result<T, E>) -> Result<f64, E> {
    let start = Instant::now();
    call()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds of a step with bins that stay.
pub fn step(shape: &Shape, device: Option<CudaBackend>, n_threads: usize, quick: bool) -> Result<f64, Box<dyn Error>> {
    let mut booster = booster(shape, GrowPolicy::Oblivious, SplitScore::Cosine, device, n_threads)?;
    let mut stream = Stream::new(2, "gpu-check", 0);
    let x = normal(&mut stream, shape.n_rows * shape.n_features);
    let rows: Vec<u32> = (0..shape.n_rows as u32).collect();
    let mut data = booster.dataset();
    booster.append(&mut data, &x, 0..0, &mut [])?;
    booster.complete(&mut data)?;
    let gradients = normal(&mut stream, shape.n_rows * shape.n_outputs);
    median(if quick { 1 } else { 11 }, quick, || Ok(seconds(|| booster.step(&mut data, &rows, &gradients))?))
}

/// Seconds of a prediction on a device and on the processor, by the same trees.
pub fn predict(
    n_trees: usize,
    n_rows: usize,
    device: CudaBackend,
    n_threads: usize,
    quick: bool,
) -> Result<[f64; 2], Box<dyn Error>> {
    let shape = Shape { n_rows: 128, n_features: 8, n_outputs: 5 };
    let mut grown = booster(&shape, GrowPolicy::Oblivious, SplitScore::Cosine, None, n_threads)?;
    let mut stream = Stream::new(3, "gpu-check", 0);
    let (x, rows) = (normal(&mut stream, 128 * 8), (0..128).collect::<Vec<u32>>());
    let mut data = grown.dataset();
    grown.append(&mut data, &x, 0..0, &mut [])?;
    grown.complete(&mut data)?;
    for _ in 0..n_trees {
        let gradients = normal(&mut stream, 128 * 5);
        grown.step(&mut data, &rows, &gradients)?;
    }
    let ensemble = grown.ensemble().clone();
    let threads = Threads::new(n_threads)?;
    let on_device =
        Booster::with_backend(ensemble, TreeParams::default(), 0, threads, Box::new(device.predicting_from(0)))?;
    let x = normal(&mut stream, n_rows * 8);
    let mut times = [0.0; 2];
    let mut outputs = [vec![0.0; n_rows * 5], vec![0.0; n_rows * 5]];
    for ((booster, time), out) in [&on_device, &grown].into_iter().zip(&mut times).zip(&mut outputs) {
        *time = median(if quick { 1 } else { 5 }, quick, || seconds(|| booster.predict(&x, 0..5, out)))?;
    }
    let bits = |out: &[f32]| out.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    if bits(&outputs[0]) != bits(&outputs[1]) {
        return Err("the device's outputs differ from the processor's".into());
    }
    Ok(times)
}

/// Observations and rewards by chance: 8 numbers, 4 actions, so 5 outputs.
struct Noise {
    observation: Space,
    action: Space,
    stream: Stream,
}

impl Noise {
    fn observe(&mut self, observation: &mut [f32]) {
        observation.iter_mut().for_each(|x| *x = self.stream.normal() as f32);
    }
}

impl Env for Noise {
    fn name(&self) -> &str {
        "Noise"
    }

    fn observation_space(&self) -> &Space {
        &self.observation
    }

    fn action_space(&self) -> &Space {
        &self.action
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> CoreResult<()> {
        self.stream = Stream::new(seed, "noise", 0);
        self.observe(observation);
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> CoreResult<Step> {
        let reward = observation[0] * action.discrete()? as f32;
        self.observe(observation);
        Ok(Step { reward, terminated: self.stream.uniform() < 0.01, truncated: false })
    }
}

/// Seconds of PPO's update after a rollout of `n_rows` rows: ten epochs, `n_trees` trees.
pub fn update(
    n_rows: usize,
    n_trees: usize,
    device: Device,
    n_threads: usize,
    quick: bool,
) -> Result<f64, Box<dyn Error>> {
    let n_envs = 16;
    let mut settings = Settings::default();
    let batch_size = (n_rows * 10).div_ceil(n_trees);
    for (key, value) in [
        ("n_envs", n_envs.to_string()),
        ("n_steps", (n_rows / n_envs).to_string()),
        ("batch_size", batch_size.to_string()),
        ("n_epochs", "10".to_owned()),
        ("n_threads", n_threads.to_string()),
    ] {
        settings.set(key, &value)?;
    }
    let env = || -> Box<dyn Env> {
        Box::new(Noise {
            observation: Space::unbounded(8),
            action: Space::discrete(4),
            stream: Stream::new(0, "noise", 0),
        })
    };
    let mut envs = VecEnv::new((0..n_envs).map(|_| env()).collect(), 0)?;
    let backend: MakeBackend = gbrl_cuda::backend(device);
    let spaces = (&Space::unbounded(8), &Space::discrete(4));
    let mut agent = Agent::new_on(&backend, "Noise", spaces, false, &settings)?;
    envs.reset()?;
    agent.begin(envs.observations())?;
    let threads = Threads::one();
    median(if quick { 1 } else { 5 }, quick, || {
        let _ = agent.collect(&mut envs, &threads, |_| ControlFlow::Continue(()))?;
        agent.finish()?;
        Ok(seconds(|| agent.update(0.0, &mut Metrics::default()))?)
    })
}
