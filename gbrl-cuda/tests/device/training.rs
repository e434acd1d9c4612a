//! A whole run on the device leaves the processor's model behind, byte for byte.

use envs::make;
use gbrl_core::ErrorClass;
use gbrl_core::backend::MakeBackend;
use gbrl_core::config::{Device, Settings};
use gbrl_core::io::model;
use gbrl_core::rl::algo::Trainer;
use gbrl_core::rl::event::Control;
use gbrl_cuda::CudaBackend;

use crate::common::backend;

fn trained(backend: &MakeBackend, env: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut settings = Settings::default();
    let few = [("n_envs", "4"), ("n_steps", "32"), ("batch_size", "96"), ("n_epochs", "2"), ("total_timesteps", "256")];
    for (key, value) in few.iter().chain(pairs) {
        settings.set(key, value).unwrap();
    }
    let envs = (0..4).map(|_| make(env).unwrap()).collect();
    let mut trainer = Trainer::new_on(backend, envs, &settings).unwrap();
    trainer.train(&mut |_| Control::Continue).unwrap();
    model::to_bytes(trainer.model().unwrap()).unwrap()
}

#[test]
fn a_run_on_the_device_writes_the_same_model() {
    if backend().is_none() {
        return;
    }
    for (env, pairs) in [
        ("CartPole-v1", &[][..]),
        ("Pendulum-v1", &[("grow_policy", "depthwise"), ("norm_obs", "true"), ("edges", "step")]),
        ("FrozenLake-v1", &[("split_score", "l2"), ("shared_structure", "false")]),
    ] {
        assert!(
            trained(&gbrl_cuda::backend(Device::Cuda(0)), env, pairs) == trained(&MakeBackend::default(), env, pairs),
            "{env}"
        );
    }
}

#[test]
fn a_device_that_is_not_there_is_an_error_with_its_number() {
    let error = CudaBackend::new(99).err().unwrap();
    assert_eq!(error.class(), ErrorClass::Device);
    assert!(error.to_string().starts_with("device cuda:99: "), "{error}");
}
