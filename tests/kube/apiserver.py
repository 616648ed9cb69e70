"""A real Kubernetes API server with its etcd, and the kinds that operators bring.

There is no kubelet and no controller: what it takes is checked, given defaults and admitted as
on a cluster, and nothing is run.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sidecar.clock import SystemClock
from tests.brokers.kafka import free_port
from tests.kube.tools import tool

CRDS = Path(__file__).parent / "crds"
_TOKEN = "of-the-tests"
_READY_S = 90.0
_STOP_S = 10.0
_CLOCK = SystemClock()


class ApiServer:
    """One server; `kubectl` asks it."""

    def __init__(self, folder: Path) -> None:
        """Name the folder for its data, keys and logs."""
        self._folder = folder
        self.config = folder / "config"
        """Of `kubectl` and Helm, to get in as somebody who may do everything."""
        self._port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start it, wait until it answers, and teach it the kinds of the operators."""
        self._write_credentials()
        clients, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._launch(
            "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",
        )
        key = self._folder / "accounts.pem"
        self._launch(
            "kube-apiserver",
            f"--etcd-servers={clients}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={self._folder}",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://accounts.example",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            # No controller makes the account `default` of a namespace, without which no pod is.
            "--disable-admission-plugins=ServiceAccount",
        )
        self._await_ready()
        for path in sorted(CRDS.glob("*.json")):
            self.kubectl("create", "-f", str(path))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")

    def stop(self) -> None:
        """End both processes."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_STOP_S)

    def namespace(self, name: str) -> None:
        """Make a namespace in which Pod Security "restricted" is enforced, and warned of."""
        labels = {
            f"pod-security.kubernetes.io/{how}": "restricted" for how in ("enforce", "warn")
        }
        named = {"metadata": {"name": name, "labels": labels}}
        made = {"apiVersion": "v1", "kind": "Namespace", **named}
        self.kubectl("apply", "-f", "-", given=json.dumps(made))

    def kubectl(self, *arguments: str, given: str = "") -> str:
        """Give what `kubectl` prints.

        Raises:
            RefusedError: It fails; the text says why.
        """
        done = subprocess.run(
            [tool("kubectl"), f"--kubeconfig={self.config}", *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "HOME": str(self._folder)},
            timeout=50,
        )
        if done.returncode:
            raise RefusedError(done.stderr)
        return done.stdout

    def _launch(self, name: str, *arguments: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [tool(name), *arguments], stdout=log, stderr=subprocess.STDOUT, cwd=self._folder
            )
        self._processes.append(process)

    def _write_credentials(self) -> None:
        key = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        (self._folder / "accounts.pem").write_bytes(key)
        (self._folder / "tokens.csv").write_text(f"{_TOKEN},admin,1,system:masters\n")
        server = {"server": f"https://127.0.0.1:{self._port}", "insecure-skip-tls-verify": True}
        config: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": server}],
            "users": [{"name": "it", "user": {"token": _TOKEN}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "current-context": "it",
        }
        self.config.write_text(json.dumps(config))

    def _await_ready(self) -> None:
        ends = _CLOCK.monotonic() + _READY_S
        while not self._ready():
            assert _CLOCK.monotonic() < ends, self._said()
            assert all(process.poll() is None for process in self._processes), self._said()
            time.sleep(0.2)

    def _ready(self) -> bool:
        try:
            return self.kubectl("get", "--raw=/readyz") == "ok"
        except RefusedError:
            return False

    def _said(self) -> str:
        return "".join(
            log.read_text(errors="replace")[-2000:] for log in self._folder.glob("*.log")
        )


class RefusedError(Exception):
    """The server, or `kubectl`, does not take what it was given."""
