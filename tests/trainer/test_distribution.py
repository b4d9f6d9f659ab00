"""Devices: two logical CPU devices against one with the same global batch, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from data.errors import RefusedError
from trainer.distribution import (
    list_training_devices,
    make_strategy,
    refuse_uneven_batches,
    set_logical_cpus,
)

SCRIPT = Path(__file__).with_name("two_devices.py")


@pytest.fixture(scope="module", params=["tiny", pytest.param("real", marks=pytest.mark.long)])
def trainings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, np.ndarray]:
    """What came of every training of the script, by setting, devices and name."""
    output = tmp_path_factory.mktemp("devices") / "trained.npz"
    finished = subprocess.run(
        [sys.executable, str(SCRIPT), str(output), request.param],
        cwd=SCRIPT.parents[2],
        env={"PYTHONPATH": str(SCRIPT.parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    with np.load(output) as arrays:
        return dict(arrays)


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["losses", "parts"])
def test_two_devices_train_as_one(trainings: dict[str, np.ndarray], setting: str) -> None:
    one, two = (
        {name.split("/")[2]: v for name, v in trainings.items() if name.startswith(f"{setting}/{devices}/")}
        for devices in (1, 2)
    )
    assert one.keys() == two.keys()
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-4)
    assert len(set(one["losses"])) == 20
    for name in one:
        if name != "matrix":
            np.testing.assert_allclose(two[name], one[name], atol=1e-4, err_msg=name)
    # Argmax may turn over where two classes are level to float tolerance.
    assert two["matrix"].sum() == one["matrix"].sum()
    assert np.abs(two["matrix"] - one["matrix"]).sum() <= 0.001 * one["matrix"].sum()


def test_auto_is_one_cpu_device_without_gpus() -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    assert list_training_devices("auto") == ["CPU:0"]
    assert make_strategy("auto").num_replicas_in_sync == 1


def test_more_devices_than_there_are_are_refused() -> None:
    with pytest.raises(RefusedError, match=r"trainer\.devices: asks for 64 devices, but there are"):
        list_training_devices(64)


def test_logical_devices_after_the_start_are_refused() -> None:
    tf.constant(0)
    with pytest.raises(RefusedError, match=r"trainer\.devices: .*already started.*start of the process"):
        set_logical_cpus(7)


def test_setting_what_is_set_does_nothing() -> None:
    tf.constant(0)
    set_logical_cpus(len(tf.config.list_logical_devices("CPU")))


def test_batches_that_do_not_divide_are_refused() -> None:
    refuse_uneven_batches(8, ["GPU:0", "GPU:1"])
    with pytest.raises(RefusedError, match=r"trainer\.batch_size: is 10.*among 4 devices.*multiple of 4, 8"):
        refuse_uneven_batches(10, [f"GPU:{index}" for index in range(4)])
