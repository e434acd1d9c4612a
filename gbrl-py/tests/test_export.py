"""Policies that leave Python: what is written, what is said about it, and what is refused."""

import shutil
import subprocess

import numpy as np
import pytest
from toys import Masked

import gbrl_rs
from gbrl_rs import A2C, AWR, PPO

FILES = {
    "c": ["cartpole.h", "cartpole.c"],
    "rust": ["cartpole.rs", "cartpole.gbe"],
    "bin": ["cartpole.gbe", "gbrl_edge.h", "gbrl_edge.c"],
    "onnx": ["cartpole.onnx"],
    "json": ["cartpole.json"],
}


def small(cls=PPO, env="CartPole-v1", steps=128, **arguments):
    given = {PPO: {"n_steps": 64, "batch_size": 32, "n_epochs": 2}, A2C: {"n_steps": 16}, AWR: {"n_steps": 64}}[cls]
    return cls("MlpPolicy", env, **{**given, "seed": 1, **arguments}).learn(steps)


@pytest.mark.parametrize("format", FILES)
def test_every_format_is_written_and_decides_as_predict_does(format, tmp_path):
    model = small()
    report = model.export(tmp_path / "new", format, value=True)
    assert [path.name for path in report.files] == FILES[format]
    assert all(path.is_file() and path.parent == tmp_path / "new" for path in report.files)
    assert report.format == format and report.n_trees == model.n_trees
    # The last rollout's observations.
    assert report.states.rows == 64 and report.states.exact and report.states.agreement == 1.0
    assert report.neighbours.exact and report.neighbours.rows > 0
    assert "as predict() says" in str(report)


@pytest.mark.parametrize("cls", [PPO, A2C, AWR])
def test_every_algorithm_exports(cls, tmp_path):
    report = small(cls).export(tmp_path, "bin")
    assert report.neighbours.exact and (report.states is None or report.states.exact)


def test_quantised_policies_are_smaller_and_say_what_they_changed(tmp_path):
    model = small(steps=512)
    sizes = {}
    for quantize in ("none", "int16", "int8"):
        report = model.export(tmp_path / quantize, quantize=quantize, name="pole")
        assert report.states.exact == (quantize == "none") and report.states.agreement > 0.8
        assert (tmp_path / quantize / "pole.c").is_file()
        sizes[quantize] = report.flash_bytes
    assert sizes["int8"] < sizes["int16"] < sizes["none"]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_exported_c_compiles_and_tests_itself(tmp_path):
    small().export(tmp_path, name="pole")
    (tmp_path / "main.c").write_text('#include "pole.h"\nint main(void) { return pole_self_test(); }\n')
    build = ["cc", "-std=c99", "-ffp-contract=off", "-Wall", "-Werror", "main.c", "pole.c", "-o", "main"]
    subprocess.run(build, cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "main"], check=True)


def test_states_are_the_callers_if_given(tmp_path):
    model = small()
    observations = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    assert model.export(tmp_path, "bin", states=observations).states.rows == 10
    with pytest.raises(ValueError, match="shape"):
        model.export(tmp_path, "bin", states=observations[:, :3])
    with pytest.raises(FileNotFoundError):
        model.export(tmp_path, "bin", states=tmp_path / "none.safetensors")


def test_masks_and_normalised_observations(tmp_path):
    model = small(env=Masked(), steps=64)
    assert model.export(tmp_path, "bin").states.exact
    model = small(norm_obs=True)
    report = model.export(tmp_path, "bin")
    assert report.states is None and report.neighbours.exact
    observations = model.observation_space.sample()[None]
    assert model.export(tmp_path, "bin", states=observations).states.exact


def test_a_model_without_a_rollout_exports(tmp_path):
    model = PPO("MlpPolicy", "CartPole-v1")
    report = model.export(tmp_path, "json")
    assert report.states is None and report.n_trees == 0


def test_what_cannot_be_is_refused(tmp_path):
    model = small()
    for arguments, message in [
        ({"format": "cobol"}, "cobol"),
        ({"quantize": "int4"}, "int4"),
        ({"name": "9lives"}, "a name of letters, digits and _"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.export(tmp_path / "no", **{"format": "bin", **arguments})
    with pytest.raises(NotImplementedError, match="reads back without loss"):
        model.export(tmp_path / "no", "json", quantize="int8")
    with pytest.raises(NotImplementedError, match="Adam"):
        small(policy_kwargs={"policy_optimizer": "adam"}).export(tmp_path / "no", "bin")
    assert not (tmp_path / "no").exists()
    assert isinstance(model.export(tmp_path, "bin"), gbrl_rs.ExportReport)
