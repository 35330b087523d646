"""Slurm and conda, for real: one node, a local channel, a region that runs through.

The tools that bring them up lie in ROCKGLACIER_TEST_TOOLS (default: ../shared/tools).
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from workspace import REGION, ROOT, Workspace

TOOLS = Path(os.environ.get("ROCKGLACIER_TEST_TOOLS") or ROOT.parent / "shared" / "tools")
pytestmark = pytest.mark.cluster

# Compression is most of the work of making the channel, and nothing here needs it.
FAST = """\
try:
    from conda_package_handling import conda_fmt
    conda_fmt.ZSTD_COMPRESS_LEVEL = 1
except ImportError:
    pass
"""
# conda-forge splits these, PyPI does not: an empty package of that name that needs the whole.
ALIASES = """\
import asyncio, inspect, json, os, pathlib, sys, tempfile
from conda_package_handling import api
from rattler.index import index_fs
channel = pathlib.Path(sys.argv[1])
for alias, whole in (("matplotlib-base", "matplotlib"), ("dask-core", "dask")):
    found = next((channel / "linux-64").glob(f"{whole}-[0-9]*.conda"))
    version = found.name.split("-")[1]
    index = dict(name=alias, version=version, build="alias", build_number=0, subdir="linux-64",
                 arch="x86_64", platform="linux", depends=[f"{whole} {version}"])
    with tempfile.TemporaryDirectory() as folder:
        info = pathlib.Path(folder, "info")
        info.mkdir()
        (info / "index.json").write_text(json.dumps(index))
        (info / "paths.json").write_text('{"paths": [], "paths_version": 1}')
        (info / "files").write_text("")
        (info / "about.json").write_text("{}")
        names = [f"info/{n}" for n in ("index.json", "paths.json", "files", "about.json")]
        name = f"{alias}-{version}-alias.conda"
        api.create(folder, names, name, out_folder=str(channel / "linux-64"))
done = index_fs(channel, force=True)
if inspect.isawaitable(done):
    asyncio.run(done)
os._exit(0)  # the bindings may abort while the interpreter shuts down
"""


def sourced(script):
    """The environment variables that sourcing ``script`` changes."""
    text = subprocess.run(
        ["bash", "-c", f"source {script} && env -0"], capture_output=True, text=True, check=True
    ).stdout
    pairs = (line.split("=", 1) for line in text.split("\0") if "=" in line)
    return {k: v for k, v in pairs if os.environ.get(k) != v and k not in ("_", "SHLVL")}


@pytest.fixture(scope="session")
def channel(tmp_path_factory):
    """A local conda channel of what envs/*.yaml name, in the making."""
    setup = TOOLS / "conda" / "setup.sh"
    if not setup.exists():
        pytest.skip(f"conda: {setup} is not there (set ROCKGLACIER_TEST_TOOLS)")
    folder = tmp_path_factory.mktemp("conda")
    venv.create(folder / "venv", with_pip=True)
    site = next((folder / "venv" / "lib").glob("python*/site-packages"))
    (site / "sitecustomize.py").write_text(FAST)
    # ISCE2 is not on PyPI.
    environments = sorted(set((ROOT / "envs").glob("*.yaml")) - {ROOT / "envs" / "isce2.yaml"})
    command = ["bash", str(setup), str(folder), *map(str, environments)]
    with (folder / "log").open("w") as log:
        making = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        yield folder, making, command
        making.kill()
        making.wait()


@pytest.fixture(scope="session")
def conda(channel):
    """The variables with which Snakemake finds conda, and the options with which it uses it."""
    folder, making, command = channel
    if making.wait(timeout=900) != 0:
        # Its bindings may abort while an interpreter shuts down; what is made stays made.
        subprocess.run(command, check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([str(python), "-c", ALIASES, str(folder / "channel")], check=True)
    # The environments lie in one place: they are made once for all tests.
    options = ("--sdm", "conda", "--conda-prefix", str(folder / "environments"))
    return sourced(folder / "env.sh"), options


@pytest.fixture(scope="session")
def slurm(tmp_path_factory, channel):
    """The variables of a one-node Slurm; the channel is made while Slurm waits for its jobs."""
    start = TOOLS / "slurm" / "start-slurm.sh"
    if not start.exists():
        pytest.skip(f"Slurm: {start} is not there (set ROCKGLACIER_TEST_TOOLS)")
    if os.geteuid() != 0 or not shutil.which("slurmctld"):
        pytest.skip("Slurm: needs root, and slurmctld slurmd slurm-client munge from apt")
    folder = tmp_path_factory.mktemp("slurm") / "run"
    subprocess.run(
        ["bash", str(start), str(folder)], check=True, env={**os.environ, "SLURM_MINI_CPUS": "4"}
    )
    yield sourced(folder / "env.sh")
    subprocess.run(["bash", str(TOOLS / "slurm" / "stop-slurm.sh"), str(folder)], check=True)


@pytest.fixture
def small(tmp_path):
    """One small region, not yet run."""
    made = Workspace(tmp_path)
    made.write("alpha", REGION.format(name="Alpha", seed=1))
    return made


SITE = [  # what this site's Slurm is like: no accounting, quick polls
    *("--profile", "slurm", "--default-resources", "slurm_partition=main"),
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"),
]


def finished(workspace):
    figures = list((workspace.results / "alpha" / "figures").glob("*.png"))
    return (workspace.results / "alpha" / "summary.json").exists() and len(figures) == 7


def limits(slurm, job):
    """Megabytes and minutes that a job asked for."""
    text = subprocess.run(
        ["scontrol", "show", "job", job],
        env={**os.environ, **slurm},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    hours, minutes, _ = re.search(r"TimeLimit=(\d+):(\d+):(\d+)", text).groups()
    return int(re.search(r"MinMemoryNode=(\d+)M", text)[1]), 60 * int(hours) + int(minutes)


def test_a_region_runs_through_and_a_job_killed_for_memory_gets_more(small, slurm):
    small.environment = slurm
    # 150 MB cannot hold Python with its libraries: the first attempt must die.
    starved = "invert_network:mem_mb=150*5**(attempt-1)"
    # To the velocity: figures and key figures run on Slurm with conda, below.
    velocity = small.results / "alpha" / "t1" / "velocity.tif"
    said = small.run(str(velocity), *SITE, "--set-resources", starved, regions="alpha")
    assert velocity.exists()
    submitted = re.findall(r"submitted with SLURM jobid (\d+)", said)
    assert len(submitted) >= 6
    killed = re.findall(r"SLURM-job '?(\d+)'? failed", said)
    assert len(killed) == 1, said[-4000:]
    log = Path(slurm["SLURM_CONF"]).parent / "log" / "slurmd.log"
    assert f"StepId={killed[0]}.0 exceeded memory limit" in log.read_text()
    # The next attempt asks for more: memory as set here, run time as the rule says.
    asked = [limits(slurm, number) for number in (killed[0], str(int(killed[0]) + 1))]
    assert asked[0] == (150, 11) and asked[1] == (750, 21)


# A job is looked for 1, 12, 33, 64 s after it was submitted: few long ones keep the wait short.
FIRST = ["define_grid", "simulate_stack", "borrow_heights", "prepare_terrain", "trace_sight"]
FIRST += ["select_network", "choose_reference", "correct_unwrapping", "invert_network"]
FEW_JOBS = ("--groups", *(f"{rule}=first" for rule in FIRST))


@pytest.fixture
def bare(tmp_path_factory):
    """Snakemake alone: a package that a script misses cannot be borrowed from its environment."""
    folder = tmp_path_factory.mktemp("snakemake") / "venv"
    venv.create(folder, with_pip=True)
    pins = [
        line.split(" ")[0]
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line and not line.startswith(" ")
    ]
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pins))
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--constraint", str(constraints)]
    subprocess.run([*pip, "snakemake", "snakemake-executor-plugin-slurm"], check=True)
    absent = subprocess.run([python, "-c", "import xarray"], capture_output=True, check=False)
    assert absent.returncode, "the environment of Snakemake must hold no science packages"
    return folder / "bin"


def test_every_rule_runs_on_slurm_with_only_what_its_environment_lists(small, bare, slurm, conda):
    small.snakemake = [str(bare / "python"), "-m", "snakemake"]
    variables, options = conda
    path = f"{bare}:{variables['PATH'].split(':')[0]}:{slurm['PATH']}"
    path = path.replace(f"{Path(sys.executable).parent}:", "")
    small.environment = {**slurm, **variables, "PATH": path}
    small.run(*SITE, *FEW_JOBS, *options, regions="alpha")
    assert finished(small)
    logs = (small.folder / ".snakemake" / "slurm_logs").rglob("*.log")
    assert any("Activating conda environment" in log.read_text() for log in logs)
