"""Unit: adapters.otlp: spans reach a collector, and one that is away holds nobody up."""

import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trustme

from sidecar.adapters.otlp import SpanExport
from sidecar.clock import SystemClock
from sidecar.config.settings import HeaderSettings, TraceSettings
from sidecar.config.values import Duration, Secret
from sidecar.errors import UserError
from tests.collector import Collector, collecting

CLOCK = SystemClock()


class Exported:
    """An exporter, and what it says became of spans."""

    def __init__(self, settings: TraceSettings, **environ: str) -> None:
        self.outcomes: Counter[str] = Counter()
        self.export = SpanExport(settings, environ, "credit", self._counted)

    def _counted(self, outcome: str, spans: int) -> None:
        self.outcomes[outcome] += spans


async def sent(settings: TraceSettings, spans: int = 1, **environ: str) -> Exported:
    """Make some spans, and close within five seconds."""
    made = Exported(settings, **environ)
    tracer = made.export.start()
    for at in range(spans):
        tracer.start_span(f"span {at}").end()
    began = CLOCK.monotonic()
    await made.export.close(5.0)
    assert CLOCK.monotonic() - began < 5.5
    return made


async def test_spans_arrive_with_who_sent_them() -> None:
    with collecting() as collector:
        made = await sent(TraceSettings(endpoint=collector.url), spans=3)

    assert [span.name for span in collector.spans] == ["span 0", "span 1", "span 2"]
    assert collector.resource["service.name"] == "credit"
    assert collector.resource["service.instance.id"]
    assert made.outcomes == {"exported": 3}


async def test_headers_go_along_and_come_from_where_secrets_are(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("Bearer abc\n")
    headers = [
        HeaderSettings("Authorization", Secret(file=tmp_path / "token")),
        HeaderSettings("api-key", Secret(env="KEY")),
    ]
    with collecting() as collector:
        settings = TraceSettings(endpoint=collector.url, headers=headers)
        await sent(settings, KEY="secret")

    assert collector.headers[0]["authorization"] == "Bearer abc"
    assert collector.headers[0]["api-key"] == "secret"


async def test_a_share_of_the_batches_is_traced() -> None:
    with collecting() as collector:
        await sent(TraceSettings(endpoint=collector.url, ratio=0.5), spans=1_000)

    assert 350 < len(collector.spans) < 650


def test_a_secret_that_is_not_there_is_named() -> None:
    headers = [HeaderSettings("api-key", Secret(env="KEY"))]
    made = Exported(TraceSettings(endpoint="http://127.0.0.1:1/v1/traces", headers=headers))

    with pytest.raises(UserError) as error:
        made.export.start()

    assert error.value.findings[0].path == "$.traces.headers[0].value"


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    made = Exported(TraceSettings(endpoint="https://127.0.0.1:1/", ca_file=tmp_path / "ca.pem"))

    with pytest.raises(UserError) as error:
        made.export.start()

    assert error.value.findings[0].path == "$.traces.ca_file"


async def test_a_collector_that_refuses_is_counted() -> None:
    with collecting() as collector:
        collector.status = 400
        made = await sent(TraceSettings(endpoint=collector.url))

    assert made.outcomes == {"failed": 1}


async def test_nobody_waits_for_a_collector_that_does_not_answer() -> None:
    with collecting() as collector:
        collector.answers.clear()
        made = Exported(TraceSettings(endpoint=collector.url, timeout=Duration(60_000)))
        tracer = made.export.start()
        tracer.start_span("span").end()

        began = CLOCK.monotonic()
        await made.export.close(0.3)

        assert CLOCK.monotonic() - began < 2.0


async def test_closing_what_was_never_started_does_nothing() -> None:
    await Exported(TraceSettings(endpoint="http://127.0.0.1:1/")).export.close(1.0)


async def test_mutual_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The config goes before what the HTTP client reads from the environment.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    authority = trustme.CA()
    server, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("sidecar")
    ca, certificate, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(str(ca))
    client.cert_chain_pems[0].write_to_path(str(certificate))
    client.private_key_pem.write_to_path(str(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    server.configure_cert(context)
    authority.configure_trust(context)

    def settings(collector: Collector, **files: Any) -> TraceSettings:
        return TraceSettings(endpoint=collector.url, timeout=Duration(1_000), **files)

    with collecting(context) as collector:
        unknown = await sent(settings(collector, ca_file=ca))
        known = await sent(
            settings(collector, ca_file=ca, certificate_file=certificate, key_file=key)
        )

    assert unknown.outcomes == {"failed": 1}
    assert known.outcomes == {"exported": 1}
