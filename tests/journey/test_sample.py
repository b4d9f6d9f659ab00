"""The embedded sample by the default command, with hardly any training: it must end not blessed."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.journey, pytest.mark.timeout(900)]


def test_an_untrained_model_of_the_sample_is_evaluated_and_not_pushed(deconvflow, tmp_path):
    done = deconvflow("run", "--workspace", tmp_path, "--json", "--set", "trainer.epochs=1")
    assert done.status == 3, done.stderr
    document = done.document
    assert document["pipeline"] == "digits"
    assert document["pushed_uri"] is None
    assert not (tmp_path / "serving" / "digits").exists() or not any(
        path.name.isdigit() for path in (tmp_path / "serving" / "digits").iterdir()
    )
    failed = {gate["metric"] for gate in document["gates"] if not gate["passed"]}
    assert "mean_iou" in failed
    # Data are ordinary files, and slices come from the sample's own attributes.
    assert (tmp_path / "samples" / "digits" / "attributes.csv").is_file()
    assert "Traceback" not in done.stderr
