//! Noise that lasts, in whole runs.

use super::*;

#[test]
fn a_resumed_run_with_correlated_noise_equals_an_uninterrupted_one() {
    for algo in ALGOS {
        for (squash, rho) in [("false", "0.9"), ("true", "0.9"), ("false", "linear:0.9:0"), ("false", "linear:0:0.9")] {
            let gentle = [("log_std_init", "0"), ("policy_lr", "0.001")];
            let pairs = [("algo", algo), ("squash_actions", squash), ("noise_correlation", rho)];
            resume_on(drifts, &[&pairs[..], &gentle].concat());
        }
    }
}

/// The first rollout, whose means are 0, written out: one normal per dimension in the order of the environments, none
/// carried over an episode's end, and the density that the policy states.
#[test]
fn correlated_actions_are_the_recurrence_and_their_densities_the_policys() {
    for (squash, rho) in [("false", 0.9), ("true", 0.9), ("false", 0.0)] {
        let rho_text = rho.to_string();
        let pairs = [("noise_correlation", rho_text.as_str()), ("squash_actions", squash), ("log_std_init", "-0.5")];
        let run = |more: &[(&str, &str)]| {
            let mut trainer = Trainer::new(drifts(4), &settings(&[&pairs[..], more].concat())).unwrap();
            trainer.run(64, &mut |_| Control::Continue).unwrap();
            trainer
        };
        let trainer = run(&[]);
        let rollout = trainer.rollout();
        let mut stream = Stream::new(0, "actions", 0);
        let mut epsilon = [[0.0f64; 2]; 4];
        let distribution = &trainer.agent.head.distribution;
        let mut work = vec![0.0; distribution.work_len()];
        for step in 0..16 {
            for env in 0..4 {
                for x in &mut epsilon[env] {
                    let kept = if step % 7 == 0 { 0.0 } else { rho };
                    *x = kept * *x + (1.0 - kept * kept).sqrt() * stream.normal();
                }
                let row = step * 4 + env;
                let expected = epsilon[env].map(|x| (crate::math::exp(-0.5) * x) as f32);
                let action = rollout.action(row);
                assert_eq!(action, expected, "{pairs:?} step {step} environment {env}");
                let at = distribution.evaluate(&[0.0, 0.0, -0.5, -0.5], &[], action, &mut work).unwrap();
                assert_eq!(rollout.log_probs()[row], at.log_prob);
            }
        }
        let other = run(&[("n_threads", "2"), ("env_threads", "3")]);
        assert_eq!(other.ensemble(), trainer.ensemble());
        let noise = serde_json::to_value(trainer.state()).unwrap()["agent"]["actor"].get("noise").is_some();
        assert_eq!(noise, rho > 0.0, "a state without noise is as it was before there was any");
    }
}

/// The factor stands where the schedule stood at the last update; a longer run stretches it.
#[test]
fn noise_follows_its_schedule() {
    let pairs = [("noise_correlation", "linear:0.8:0"), ("total_timesteps", "4096"), ("n_steps", "256")];
    let mut trainer = Trainer::new(drifts(4), &settings(&pairs)).unwrap();
    for (rollout, expected) in [(0, 0.8), (1, 0.6), (2, 0.4), (3, 0.2), (4, 0.0)] {
        let state = serde_json::to_value(trainer.state()).unwrap();
        let rho = state["agent"]["actor"]["noise"]["correlation"].as_f64().unwrap();
        assert!((rho - expected).abs() < 1e-12, "rollout {rollout}: {rho}");
        trainer.run(1024 * (rollout + 1), &mut |_| Control::Continue).unwrap();
    }
    let (state, model) = (trainer.state(), trainer.model().unwrap().to_model());
    assert_eq!(Trainer::resume(drifts(4), &state, model.clone()).unwrap().state(), state);
    // Halfway through twice as many steps, the next rollout is that of 0.4.
    let next = |rho: &str| {
        let mut longer = trainer.settings().clone();
        longer.set("total_timesteps", "10240").unwrap();
        longer.set("noise_correlation", rho).unwrap();
        let mut state = state.clone();
        state.set_settings(longer).unwrap();
        let mut resumed = Trainer::resume(drifts(4), &state, model.clone()).unwrap();
        resumed.run(6144, &mut |_| Control::Continue).unwrap();
        (0..1024).flat_map(|row| resumed.rollout().action(row).to_vec()).collect::<Vec<f32>>()
    };
    assert_eq!(next("linear:0.8:0"), next("0.4"));
    assert_ne!(next("linear:0.8:0"), next("0"));
    for error in [
        trainer.agent.set_progress(f64::NAN).unwrap_err(),
        trainer.agent.update(f64::NAN, &mut Metrics::default()).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "progress: expected 0 to 1, got NaN");
    }
    assert_eq!(trainer.state(), state);
    let mut broken = serde_json::to_value(trainer.state()).unwrap();
    broken["agent"]["progress"] = 1.5.into();
    let broken: TrainerState = serde_json::from_value(broken).unwrap();
    let error = Trainer::resume(drifts(4), &broken, model).err().unwrap();
    assert_eq!(error.class(), ErrorClass::Format);
    // Another schedule begins where this one stands.
    let mut changed = trainer.settings().clone();
    changed.set("noise_correlation", "linear:0:0.5").unwrap();
    trainer.agent.set_settings(changed).unwrap();
    assert_eq!(serde_json::to_value(trainer.state()).unwrap()["agent"]["actor"]["noise"]["correlation"], 0.5);
}

#[test]
fn noise_changes_between_rollouts() {
    let mut trainer = Trainer::new(drifts(4), &settings(&[])).unwrap();
    trainer.run(64, &mut |_| Control::Continue).unwrap();
    for rho in ["0.9", "0.5", "0", "0.99", "linear:0.9:0.1", "linear:0:0.5"] {
        let mut changed = trainer.settings().clone();
        changed.set("noise_correlation", rho).unwrap();
        let (mut state, model) = (trainer.state(), trainer.model().unwrap().to_model());
        state.set_settings(changed.clone()).unwrap();
        let mut resumed = Trainer::resume(drifts(4), &state, model).unwrap();
        trainer.agent.set_settings(changed).unwrap();
        for trainer in [&mut trainer, &mut resumed] {
            let until = trainer.timesteps() + 128;
            trainer.run(until, &mut |_| Control::Continue).unwrap();
        }
        assert_eq!(resumed.state(), trainer.state(), "{rho}");
    }
    for wrong in ["1", "-0.1", "linear:0.9:1"] {
        assert!(settings(&[]).set("noise_correlation", wrong).is_err());
    }
}
