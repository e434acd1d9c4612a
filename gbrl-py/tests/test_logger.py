"""What is recorded stands in every format, under Stable-Baselines3's keys."""

import csv
import io
import json

import numpy as np
import pytest

from gbrl_rs.logger import (
    DISABLED,
    CSVOutputFormat,
    Figure,
    HumanOutputFormat,
    Image,
    Logger,
    configure,
    configure_run,
    make_output_format,
)


def table(values, **excluded):
    file = io.StringIO()
    HumanOutputFormat(file).write(values, excluded)
    return file.getvalue()


def test_the_table_is_grouped_sorted_and_aligned():
    shown = table({"time/fps": 12345, "rollout/ep_rew_mean": 22.34567, "plain": np.float32(2.5), "time/x": None})
    assert shown.splitlines() == [
        "-----------------------------",
        "| plain          | 2.5      |",
        "| rollout/       |          |",
        "|    ep_rew_mean | 22.3     |",
        "| time/          |          |",
        "|    fps         | 12345    |",
        "|    x           | None     |",
        "-----------------------------",
    ]


def test_long_texts_are_cut_and_long_keys_never_collide():
    assert "x" * 33 + "..." in table({"text": "x" * 60})
    with pytest.raises(ValueError, match="truncated"):
        table({"a/" + "k" * 50 + "1": 1, "a/" + "k" * 50 + "2": 2})
    assert table({"a/same": 1, "b/same": 2}).count("same") == 2


def test_a_key_can_be_kept_out_of_a_format(tmp_path):
    logger = configure(str(tmp_path), ["csv", "json"])
    logger.record("a", 1, exclude="csv")
    logger.record("b", 2, exclude=("json", "tensorboard"))
    logger.dump(3)
    logger.close()
    assert (tmp_path / "progress.csv").read_text() == "b\n2\n"
    assert json.loads((tmp_path / "progress.json").read_text()) == {"a": 1}


def test_a_new_key_widens_the_csv(tmp_path):
    output = CSVOutputFormat(str(tmp_path / "x.csv"))
    output.write({"a": 1, "text": 'say "hi",\nthere'}, {})
    output.write({"b": 2.5, "a": None}, {})
    output.write({"c": True, "b": 1e-9}, {})
    output.close()
    with open(tmp_path / "x.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["a"], row["b"], row["c"]) for row in rows] == [("1", "", ""), ("", "2.5", ""), ("", "1e-09", "True")]
    assert rows[0]["text"] == 'say "hi",\nthere'


def test_json_holds_every_kind_of_number(tmp_path):
    logger = configure(str(tmp_path), ["json"])
    for key, value in {
        "f": np.float32(0.5),
        "i": np.int64(3),
        "n": float("nan"),
        "v": np.array([1, 2]),
        "t": "x",
    }.items():
        logger.record(key, value)
    logger.dump()
    logger.close()
    assert json.loads((tmp_path / "progress.json").read_text()) == {"f": 0.5, "i": 3, "n": None, "v": [1, 2], "t": "x"}


def test_means_and_levels(capsys):
    logger = configure(None, ["stdout"])
    for value in (1.0, 2.0, None, 6.0):
        logger.record_mean("m", value)
    assert logger.name_to_value == {"m": 3.0}
    logger.debug("no")
    logger.info("yes", 1)
    logger.set_level(DISABLED)
    logger.error("no")
    logger.dump()
    assert capsys.readouterr().out == "yes 1\n"
    logger.set_level(20)
    logger.dump()
    assert logger.name_to_value == {}


def test_unknown_formats_are_named(tmp_path):
    with pytest.raises(ValueError, match="Unknown format specified: foo"):
        make_output_format("foo", str(tmp_path))


@pytest.mark.sb3
def test_tensorboard_reads_what_is_written(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = configure_run(0, str(tmp_path), "PPO", True)
    assert logger.get_dir() == str(tmp_path / "PPO_1")
    for step in (10, 20):
        logger.record("train/loss", np.float32(step / 4))
        logger.record("text", "no number")
        logger.dump(step)
    logger.close()
    events = EventAccumulator(str(tmp_path / "PPO_1"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(10, 2.5), (20, 5.0)]
    assert events.Tags()["scalars"] == ["train/loss"]
    assert configure_run(0, str(tmp_path), "PPO", False).get_dir() == str(tmp_path / "PPO_1")
    assert configure_run(0, str(tmp_path), "PPO", True).get_dir() == str(tmp_path / "PPO_2")
    assert configure_run(0, str(tmp_path), "PPO_2", True).get_dir() == str(tmp_path / "PPO_2_1")


def test_without_a_folder_nothing_is_written():
    assert configure_run(0, None, "PPO", True).output_formats == []
    assert isinstance(Logger(None, []).dump(), type(None))


@pytest.mark.sb3
def test_formats_of_sb3_can_be_used(tmp_path):
    sb3 = pytest.importorskip("stable_baselines3.common.logger")
    logger = Logger(str(tmp_path), [sb3.CSVOutputFormat(str(tmp_path / "a.csv")), sb3.HumanOutputFormat(io.StringIO())])
    logger.record("a/b", 1.5)
    logger.dump()
    logger.close()
    assert (tmp_path / "a.csv").read_text() == "a/b\n1.5\n"


@pytest.mark.sb3
def test_tensorboard_shows_texts_and_pictures(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    pyplot = pytest.importorskip("matplotlib.pyplot")
    image = pytest.importorskip("matplotlib.image")
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    logger = configure(str(tmp_path), ["tensorboard"])
    logger.record("words", "no number")
    logger.record("drawn", Figure(pyplot.figure(figsize=(2, 1), dpi=50)))
    logger.record("hwc", Image(picture))
    logger.record("chw", Image(np.moveaxis(picture, 2, 0), "CHW"))
    logger.record("grey", Image(np.full((2, 4), 0.5), "HW"))
    sb3 = pytest.importorskip("stable_baselines3.common.logger")
    logger.record("theirs", sb3.Image(picture, "HWC"))
    logger.record("hyper", sb3.HParam({"a": 1}, {"b": 0}))
    with pytest.warns(UserWarning, match="got HParam as hyper; it is left out") as caught:
        logger.dump(3)
    logger.record("hyper", sb3.HParam({"a": 1}, {"b": 0}))
    logger.dump(4)
    assert len(caught) == 1
    logger.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert sorted(events.Tags()["images"]) == ["chw", "drawn", "grey", "hwc", "theirs"]
    assert events.Tensors("words/text_summary")[0].tensor_proto.string_val[0] == b"no number"
    for tag in ("hwc", "chw", "theirs"):
        shown = image.imread(io.BytesIO(events.Images(tag)[0].encoded_image_string))
        np.testing.assert_array_equal(np.rint(shown * 255), picture)
    assert (events.Images("drawn")[0].width, events.Images("drawn")[0].height) == (100, 50)
    assert pyplot.get_fignums() == []
    with pytest.raises(ValueError, match="expected the axes HWC, CHW or HW"):
        logger.output_formats[0]._value("x", Image(picture, "HW"))
