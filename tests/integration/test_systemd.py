"""The unit file: systemd's own tools have no complaint, and what it allows is enough."""

import http.client
import json
import os
import re
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sidecar.cli.run import _GRACE_S
from sidecar.config.settings import LimitSettings
from sidecar.config.values import ByteSize, Duration
from tests.image.building import CannotBuildError, Image, carry_out, host, mounted
from tests.integration.service import Sidecar, Topics, config_of, eventually, good_events
from tests.systemd.unit import UNIT, allowed_calls, settings

pytestmark = [pytest.mark.systemd, pytest.mark.image, pytest.mark.timeout(420)]

MOST_EXPOSED = 1.5
"""Of 10; it is at 1.4."""
_CREDENTIALS = "/run/credentials/sidecar.service"
PAGE = Path(__file__).parents[2] / "docs" / "deployment-hosts.md"
_CONFINE = Path(__file__).parents[1] / "systemd" / "confine.py"


@pytest.fixture(scope="module", autouse=True)
def systemd() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: Debian's package is `systemd`")


def verified(image: Image, folder: Path | None) -> subprocess.CompletedProcess[str]:
    """Let systemd read the unit where its program is installed.

    Args:
        image: Where that is.
        folder: Where the unit is, if it is not there.
    """
    command = ["systemd-analyze", "verify", "--man=no", f"/etc/systemd/system/{UNIT.name}"]
    tried = image._replace(command=command).started(
        {folder: "/etc/systemd/system"} if folder else {}, as_root=True, read_only=False
    )
    return subprocess.run(tried, capture_output=True, text=True, timeout=60, check=False)


def test_systemd_understands_every_line_and_finds_the_program(image: Image) -> None:
    done = verified(image, UNIT.parent)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("line", "broken"),
    [("/opt/sidecar/bin/sidecar", "/opt/sidecar/bin/sidekar"), ("Restart=", "Restrat=")],
)
def test_systemd_notices_a_mistake(
    image: Image, tmp_path: Path, line: str, broken: str
) -> None:
    (tmp_path / UNIT.name).write_text(UNIT.read_text().replace(line, broken))

    assert broken.rstrip("=") in verified(image, tmp_path).stderr


def test_little_is_exposed() -> None:
    score = f"--threshold={MOST_EXPOSED * 10:.0f}"
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", score, "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_its_times_and_codes_are_those_of_the_program() -> None:
    unit = settings()
    (stop,), (memory,) = unit["TimeoutStopSec"], unit["MemoryMax"]

    assert Duration.parse(stop).seconds > LimitSettings().shutdown.seconds + _GRACE_S
    assert ByteSize.parse(f"{memory}iB").bytes >= 512 << 20
    assert unit["RestartPreventExitStatus"] == ["2"]


def test_a_wrong_config_ends_with_the_code_that_is_not_restarted(
    image: Image, tmp_path: Path
) -> None:
    (tmp_path / "sidecar.yaml").write_text("kafka: {}\n")
    tmp_path.chmod(0o755)
    (line,) = settings()["ExecStart"]
    tried = image._replace(command=line.split()).started({tmp_path: "/etc/sidecar"})
    done = subprocess.run(tried, capture_output=True, text=True, timeout=30, check=False)

    assert str(done.returncode) in settings()["RestartPreventExitStatus"]
    assert "bootstrap_servers" in done.stderr


# --- installing as the page says -------------------------------------------------------------


def test_the_commands_of_the_page_install_what_the_unit_starts(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^<!-- host: (\w+) -->\n```sh\n(.*?)^```$", page, re.M | re.S))
    try:
        machine = host(tmp_path)
    except CannotBuildError as reason:
        pytest.skip(str(reason))

    carry_out(machine, blocks["install"])
    carry_out(machine, blocks["configure"])

    done = verified(machine, None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (program, command, config) = settings()["ExecStart"][0].split()
    assert os.access(machine.folder / program[1:], os.X_OK)
    assert command == "run"
    assert (machine.folder / config[1:]).is_file()
    (credential,) = settings()["LoadCredential"]
    secrets = machine.folder / credential.partition(":")[2][1:]
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    # Whoever the service runs as can read all of it, but for the secrets.
    for folder in ("opt/sidecar", "etc/sidecar/models"):
        for path in (machine.folder / folder).rglob("*"):
            assert path.lstat().st_mode & stat.S_IROTH, path
    shutil.rmtree(machine.folder)  # a third of a gigabyte


# --- running with what it allows -------------------------------------------------------------


@pytest.fixture
def confined(
    image: Image, kafka_topics: Topics, credit_bundle: Path, tmp_path: Path
) -> Iterator[Sidecar]:
    """The unit's command with the unit's rights, and a secret where systemd would put it."""
    (credential,) = settings()["LoadCredential"]
    name = credential.partition(":")[0]
    secret = "${CREDENTIALS_DIRECTORY}/" + f"{name}_admin-token"
    config = config_of(kafka_topics, Path("bundle"), http={"admin_token": {"file": secret}})
    etc = mounted(tmp_path / "etc", config, credit_bundle)
    secrets, program = tmp_path / "secrets", tmp_path / "program"
    for folder in (secrets, program):
        folder.mkdir(mode=0o755)
    (secrets / f"{name}_admin-token").write_text("of-the-test\n")
    shutil.copy(_CONFINE, program)
    families = [
        getattr(socket, one) for one in settings()["RestrictAddressFamilies"][0].split()
    ]
    wanted = {"user": 10001, "calls": allowed_calls(), "families": families}
    (line,) = settings()["ExecStart"]
    run = image._replace(
        command=["python", "/mnt/confine.py", json.dumps(wanted), *line.split()],
        environment={**image.environment, "CREDENTIALS_DIRECTORY": _CREDENTIALS},
    )
    mounts = {etc: "/etc/sidecar", secrets: _CREDENTIALS, program: "/mnt"}
    sidecar = Sidecar(tmp_path / "run", {}, lambda _: run.started(mounts, as_root=True))
    yield sidecar
    sidecar.kill()


@pytest.mark.kafka
def test_what_it_allows_is_enough(kafka_topics: Topics, confined: Sidecar) -> None:
    confined.becomes()
    kafka_topics.send(good_events(400))
    eventually(kafka_topics.settled, "400 outcomes")
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{confined.pid}/status").read_text().splitlines()
    )

    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert {int(status[each], 16) for each in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert confined.stop() == 0


@pytest.mark.kafka
def test_a_credential_is_read_as_a_secret(confined: Sidecar) -> None:
    address = urlsplit(confined.said("sidecar_started")["status_url"]).netloc

    def status(**headers: str) -> int:
        with closing(http.client.HTTPConnection(address, timeout=5)) as connection:
            connection.request("GET", "/api/v1/status", headers=headers)
            return connection.getresponse().status

    assert status() == 401
    assert status(Authorization="Bearer of-the-test") == 200


def test_what_is_not_allowed_ends_the_process(image: Image, tmp_path: Path) -> None:
    shutil.copy(_CONFINE, tmp_path)
    tmp_path.chmod(0o755)
    wanted = {
        "user": 10001,
        "calls": allowed_calls(),
        "families": [socket.AF_INET, socket.AF_UNIX],
    }

    def tried(code: str) -> int:
        command = ["python", "/mnt/confine.py", json.dumps(wanted), "python", "-c", code]
        run = image._replace(command=command).started({tmp_path: "/mnt"}, as_root=True)
        return subprocess.run(run, capture_output=True, timeout=30, check=False).returncode

    opened = "import socket; socket.socket(socket.{})"
    assert tried(opened.format("AF_INET")) == 0
    assert tried(opened.format("AF_NETLINK")) < 0
    assert tried("import os; os.chroot('/')") < 0
    assert tried("import mmap; mmap.mmap(-1, 4096, prot=7)") == 1
