"""What a person meets first: make, without what it needs."""

import shutil
import subprocess

from workspace import ROOT


def make(folder, *words):
    """Run make in a copy of what a fresh clone has."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True, check=False)


def test_a_python_that_is_too_old_gets_one_sentence_with_the_cure(tmp_path):
    done = make(tmp_path, "run", "PYTHON=")
    # Under another make its own lines begin with make[1]: and so on.
    said = [line for line in done.stderr.splitlines() if not line.startswith(("make:", "make["))]
    assert done.returncode and len(said) == 1
    assert "Python 3.11 or newer is needed" in said[0] and "install one" in said[0]
    assert not (tmp_path / ".venv").exists()


def test_help_lists_the_targets(tmp_path):
    done = make(tmp_path)
    assert done.returncode == 0
    for target in ("run", "test", "test-cluster", "bench", "bench-inversion", "lint", "clean"):
        assert f"make {target} " in done.stdout
