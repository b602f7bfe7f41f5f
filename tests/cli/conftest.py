"""The command line in this process."""

import sys

import pytest

from gpu_quality.cli import main


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the program in this process; returns exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gpu-quality", *map(str, arguments)])
        code = main.program()
        out = capsys.readouterr()
        return code, out.out, out.err

    return run
