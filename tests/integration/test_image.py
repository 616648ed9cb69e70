"""The image, built by the commands of its Dockerfile, run as its user with nothing to write to.

No container engine is used; `tests/image/building.py` says what stands in its place.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from sidecar.clock import SystemClock
from tests.image.building import CannotBuildError, Image, build, mounted
from tests.image.dockerfile import ROOT
from tests.integration.service import Sidecar, Topics, config_of, eventually, good_events, ids
from tests.repo.test_requirements import normal, versions

pytestmark = [pytest.mark.image, pytest.mark.timeout(420)]

MOST_BYTES = 160_000_000
MOST_DISTRIBUTIONS = 25
READY_S = 5.0
EXTRAS = {"registry": "confluent_kafka.schema_registry", "traces": "opentelemetry.sdk.trace"}
# Of libc6, libgcc-s1, libstdc++6 and zlib1g, which apt and dpkg need and so every base has.
OF_THE_BASE = re.compile(
    r"ld-linux-\S+|lib(c|m|dl|rt|pthread|util|resolv|gcc_s|stdc\+\+|z)\.so\.\d+"
)


def prefix(image: Image) -> Path:
    return image.folder / "opt" / "sidecar"


def installed(image: Image) -> dict[str, str]:
    """Name and version of each distribution, from the folders that installers leave."""
    (packages,) = prefix(image).glob("lib/python*/site-packages")
    found = (path.stem.rpartition("-") for path in packages.glob("*.dist-info"))
    return {normal(name): version for name, _, version in found}


# --- what is in it ---------------------------------------------------------------------------


def test_it_is_small(image: Image) -> None:
    size = sum(path.lstat().st_size for path in prefix(image).rglob("*") if not path.is_dir())

    assert size <= MOST_BYTES
    assert len(installed(image)) <= MOST_DISTRIBUTIONS


def test_what_is_installed_is_what_is_locked(image: Image) -> None:
    locked = {
        (name, rest.split(" ;")[0])
        for name, rest in versions(ROOT / "requirements" / "runtime.txt")
    }
    others = set(installed(image).items()) - locked

    assert {name for name, _ in others} == {"sidecar"}


def test_nothing_in_it_installs_or_builds(image: Image) -> None:
    names = {path.name for path in image.folder.glob("usr/local/lib/python3*/site-packages/*")}
    programs = {
        path.name for path in image.folder.glob("**/bin/*") if "usr/bin" not in str(path)
    }
    modules = {path.name for path in prefix(image).glob("lib/python*/site-packages/*")}

    assert names == set()
    assert {
        name for name in programs if re.match(r"pip|wheel|uv\b|hatch|cyclonedx", name)
    } == set()
    assert {"pip", "setuptools", "wheel", "hatchling", "cyclonedx"} & modules == set()
    assert list(image.folder.glob("**/ensurepip")) == []


def test_its_native_code_needs_no_more_than_the_base_has(image: Image) -> None:
    needed = set()
    for library in prefix(image).rglob("*.so*"):
        lines = subprocess.run(
            ["ldd", library], capture_output=True, text=True, check=True
        ).stdout
        assert "not found" not in lines, library
        for line in lines.splitlines():
            name, _, path = line.strip().partition(" => ")
            of_the_kernel = name.startswith("linux-vdso") or name == "statically linked"
            if str(prefix(image)) not in path and not of_the_kernel:
                needed.add(Path(name.split()[0]).name)

    assert needed
    assert {name for name in needed if not OF_THE_BASE.fullmatch(name)} == set()


def test_every_module_is_compiled_whatever_times_its_files_have(image: Image) -> None:
    (packages,) = prefix(image).glob("lib/python*/site-packages")
    sources = [p for p in (packages / "sidecar").rglob("*.py") if p.stat().st_size]
    compiled = [next((p.parent / "__pycache__").glob(f"{p.stem}.*.pyc")) for p in sources]

    assert compiled
    # The flags behind the magic number: a hash in the place of a time, and it is not compared.
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\1\0\0\0"}


# --- its bill of materials -------------------------------------------------------------------


def bill(image: Image) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((prefix(image) / "share" / "sbom.cdx.json").read_text())
    return found


def validator(image: Image) -> Draft7Validator:
    """CycloneDX's own schema, from the package that wrote the bill."""
    build_stage = image.folder.parent / "build"
    (folder,) = build_stage.glob("opt/tools/lib/python*/site-packages/cyclonedx/schema/_res")
    # They refer to each other by the names of their files.
    schemas = {path.name: json.loads(path.read_text()) for path in folder.glob("*.schema.json")}
    (schema,) = [one for one in schemas.values() if one["$id"].endswith("/bom-1.6.schema.json")]
    resources = [
        (urljoin(schema["$id"], name), Resource.from_contents(one))
        for name, one in schemas.items()
    ]
    return Draft7Validator(schema, registry=Registry().with_resources(resources))


def test_the_bill_of_materials_names_what_is_installed(image: Image) -> None:
    components = bill(image)["components"]

    assert {normal(one["name"]): one["version"] for one in components} == {
        name: version for name, version in installed(image).items() if name != "sidecar"
    }
    assert bill(image)["metadata"]["component"]["name"] == "sidecar"
    # What their authors declare in a field that is meant for it; two do not.
    assert {one["name"] for one in components if not one.get("licenses")} <= {
        "datasketches",
        "protobuf",
    }
    assert all(one["purl"].startswith("pkg:pypi/") for one in components)


def test_the_bill_of_materials_keeps_to_the_schema_of_cyclonedx(image: Image) -> None:
    written, check = bill(image), validator(image)

    assert list(check.iter_errors(written)) == []
    assert not check.is_valid({**written, "components": [{"type": "library"}]})


# --- running ---------------------------------------------------------------------------------


@pytest.fixture
def running(
    image: Image, kafka_topics: Topics, credit_bundle: Path, tmp_path: Path
) -> Iterator[Sidecar]:
    """The image with a config and a bundle mounted, as its user."""
    etc = mounted(tmp_path / "etc", config_of(kafka_topics, Path("bundle")), credit_bundle)
    command = image.started({etc: "/etc/sidecar"})
    sidecar = Sidecar(tmp_path / "run", {}, lambda _: command)
    yield sidecar
    sidecar.kill()


@pytest.mark.kafka
def test_it_is_ready_within_seconds_and_answers(
    image: Image, kafka_topics: Topics, running: Sidecar
) -> None:
    clock = SystemClock()
    began = clock.monotonic()
    running.becomes()
    took_s = clock.monotonic() - began
    kafka_topics.send(good_events(40))
    eventually(kafka_topics.settled, "40 outcomes")
    process = Path(f"/proc/{running.pid}")
    status = dict(re.findall(r"^(\w+):\t(.*)$", (process / "status").read_text(), re.M))

    assert took_s <= READY_S
    assert sorted(ids(kafka_topics.read(kafka_topics.decisions))) == sorted(
        f"e{number}" for number in range(40)
    )
    assert (process / "exe").resolve().name.startswith("python3")
    assert (process / "root").resolve() == image.folder
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"10001"}
    assert running.stop() == 0


def test_nothing_can_be_written_even_by_root(image: Image, tmp_path: Path) -> None:
    tried = ["sh", "-c", "for d in / /tmp /opt/sidecar /usr /etc /root; do touch $d/x; done"]
    started = image._replace(command=tried).started({}, as_root=True)
    done = subprocess.run(started, capture_output=True, text=True, timeout=30, check=False)

    assert done.stderr.count("Read-only file system") == 6


def test_without_a_config_it_says_so_and_ends_with_2(image: Image) -> None:
    done = subprocess.run(
        image.started({}), capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 2
    assert "/etc/sidecar/sidecar.yaml" in done.stderr
    assert "Traceback" not in done.stderr


# --- with extras -----------------------------------------------------------------------------


def test_extras_can_be_built_in(tmp_path: Path) -> None:
    try:
        larger = build(tmp_path / "larger", EXTRAS=" ".join(EXTRAS))
    except CannotBuildError as reason:
        pytest.skip(str(reason))
    code = "; ".join(f"import {module}" for module in EXTRAS.values())
    command = larger._replace(command=["python", "-c", code]).started({})
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    shutil.rmtree(larger.folder.parent)  # half a gigabyte
