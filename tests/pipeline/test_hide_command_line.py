from __future__ import annotations

import sys

import pytest

from pipeline.hide_command_line import hide_command_line


def test_arguments_are_hidden_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["deconvflow", "run", "-v"]
    monkeypatch.setattr(sys, "argv", arguments)
    with hide_command_line():
        assert sys.argv == ["deconvflow"]
    assert sys.argv is arguments
    with pytest.raises(KeyboardInterrupt), hide_command_line():
        assert sys.argv == ["deconvflow"]
        raise KeyboardInterrupt
    assert sys.argv == ["deconvflow", "run", "-v"]
