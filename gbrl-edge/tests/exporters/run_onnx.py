"""Checks and runs the ONNX files of a folder of cases: run_onnx.py FOLDER. Outputs are written as float64."""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

for case in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    path = str(case / "policy.onnx")
    onnx.checker.check_model(path, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # a mask that may be left out is meant
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = {value.name: value.shape for value in session.get_inputs() + session.get_overridable_initializers()}
    rows = {"obs": np.fromfile(case / "obs", np.float32).reshape(-1, inputs["obs"][1])}
    if (case / "mask").exists():
        rows["mask"] = np.fromfile(case / "mask", np.uint8).astype(bool).reshape(len(rows["obs"]), -1)
    for value, out in zip(session.get_outputs(), session.run(None, rows), strict=True):
        out.astype(np.float64).tofile(case / value.name)
