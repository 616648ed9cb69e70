"""The image's Dockerfile: locked, small, without rights; hadolint has no complaint."""

import re
import subprocess
from pathlib import Path

import pytest

from loadtests.environments import CannotInstallError, python
from sidecar import __version__
from tests.image.dockerfile import DOCKERFILE, ROOT, sent, stages
from tests.repo.test_requirements import PROJECT, locked, named, versions

LOCKS = ROOT / "deploy" / "image"
HADOLINT = ROOT / "tests" / "image" / "hadolint.txt"
BASE, BUILD, IMAGE = stages()


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    try:
        tool = Path(python("hadolint", HADOLINT)).with_name("hadolint")
    except CannotInstallError as reason:
        pytest.skip(str(reason))
    command = [str(tool), "--no-color", "--failure-threshold", "style", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.timeout(120)
def test_hadolint_has_no_complaint() -> None:
    done = hadolint(DOCKERFILE)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.timeout(120)
def test_hadolint_notices_what_is_not_pinned(tmp_path: Path) -> None:
    worse = tmp_path / "Dockerfile"
    worse.write_text(re.sub(r"FROM python\S+", "FROM python:latest", DOCKERFILE.read_text()))

    assert "DL3007" in hadolint(worse).stdout


def test_every_stage_begins_with_the_one_pinned_base() -> None:
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", BASE.base)
    assert (BUILD.base, IMAGE.base) == (BASE.name, BASE.name)


def test_its_python_is_supported() -> None:
    minor = re.findall(r"python:(\d+\.\d+)", BASE.base)

    assert f"Programming Language :: Python :: {minor[0]}" in PROJECT["project"]["classifiers"]


def test_it_runs_without_rights_and_gets_the_signals() -> None:
    assert IMAGE.last("USER") == "10001:10001"
    assert IMAGE.exec_form("ENTRYPOINT") == ["sidecar"]
    assert IMAGE.exec_form("CMD") == ["run", "/etc/sidecar/sidecar.yaml"]


def test_its_labels_say_what_the_package_says() -> None:
    labels = next(each for each in IMAGE.instructions if each.keyword == "LABEL").pairs()
    (version,) = [
        each.pairs()["VERSION"]
        for each in IMAGE.instructions
        if each.keyword == "ARG" and "VERSION" in each.pairs()
    ]
    label = "org.opencontainers.image.{}".format

    assert version == __version__
    assert labels[label("version")] == "${VERSION}"
    assert labels[label("revision")] == "${REVISION}"
    for name, field in [("title", "name"), ("description", "description")]:
        assert labels[label(name)] == PROJECT["project"][field]
    assert labels[label("licenses")] == PROJECT["project"]["license"]


def test_every_installation_is_of_locked_wheels_or_of_the_package_itself() -> None:
    installed = [
        command
        for each in BUILD.instructions
        if each.keyword == "RUN"
        for command in re.split(r"&&|;|\bdo\b", each.words)
        if re.search(r"\bpip\b.* (install|wheel)\b", command)
    ]

    assert len(installed) == 4
    for command in installed:
        locked_wheels = "--require-hashes" in command and "--only-binary :all:" in command
        own = "--no-index" in command and "--no-deps" in command
        assert locked_wheels or own, command


@pytest.mark.parametrize("extra", ["registry", "traces"])
def test_an_extra_that_can_be_built_in_has_the_versions_that_are_tested(extra: str) -> None:
    path = LOCKS / f"{extra}.txt"
    wanted = named(PROJECT["project"]["optional-dependencies"][extra])

    assert versions(ROOT / "requirements" / "runtime.txt") <= versions(path)
    assert versions(path) <= versions(ROOT / "requirements" / "dev.txt")
    assert wanted <= locked(path)


def test_what_builds_the_package_is_locked_as_elsewhere() -> None:
    backend = named(PROJECT["build-system"]["requires"])
    build = LOCKS / "build.txt"

    assert backend <= locked(build)
    assert {one for one in versions(build) if one[0] in backend} <= versions(
        ROOT / "requirements" / "dev.txt"
    )


def test_nothing_is_sent_to_the_builder_but_what_it_needs() -> None:
    files = sent()
    tops = {path.parts[0] for path in files}

    assert tops == {
        "LICENSE",
        "README.md",
        "deploy",
        "pyproject.toml",
        "requirements",
        "sidecar",
    }
    assert [path for path in files if "__pycache__" in path.parts] == []
    assert Path("requirements/dev.txt") not in files
