"""Durations, sizes, addresses and secrets."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.values import Address, ByteSize, Duration, Secret


@pytest.mark.parametrize(
    ("text", "ms"),
    [("250ms", 250), ("1.5s", 1_500), ("10 m", 600_000), ("24h", 86_400_000), (0, 0)],
)
def test_a_duration_is_read(text: object, ms: int) -> None:
    assert Duration.parse(text) == Duration(ms)


@pytest.mark.parametrize("text", ["5", 5, "", "-1s", "1e3s", "1 week", True, False, None, "٣s"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="Expected a duration"):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0s"), (1, "1ms"), (90_000, "90s"), (86_400_000, "24h"), (172_800_000, "2d")],
)
def test_a_duration_is_written_in_the_largest_exact_unit(ms: int, text: str) -> None:
    assert str(Duration(ms)) == text


@given(ms=st.integers(0, 10**11 - 1))
def test_a_duration_survives_being_written(ms: int) -> None:
    assert Duration.parse(str(Duration(ms))) == Duration(ms)


@pytest.mark.parametrize(
    ("text", "size"),
    [(512, 512), ("512", 512), ("1kB", 1000), ("1.5 KiB", 1536), ("2GiB", 2 << 30)],
)
def test_a_size_is_read(text: object, size: int) -> None:
    assert ByteSize.parse(text) == ByteSize(size)


@pytest.mark.parametrize("text", [-1, True, "1 mb", "9" * 400, 1.5, None])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="Expected a size"):
        ByteSize.parse(text)


@given(size=st.integers(0, 10**14))
def test_a_size_survives_being_written(size: int) -> None:
    assert ByteSize.parse(str(ByteSize(size))) == ByteSize(size)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:9465", Address("::1", 9465)),
    ],
)
def test_an_address_survives_being_written(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", [":80", "host", "host:", "host:65536", "::1:80", "a b:1", "host:²", 80, None]
)
def test_what_is_no_address_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="Expected an address"):
        Address.parse(text)


def test_a_secret_of_a_file_is_read_at_each_use(tmp_path: Path) -> None:
    secret = Secret.parse({"file": "password"}).within(tmp_path)

    (tmp_path / "password").write_text("first\n")
    assert secret.reveal({}) == "first"

    (tmp_path / "password").write_text("second\n")
    assert secret.reveal({}) == "second"


def test_a_secret_of_the_environment_is_looked_up() -> None:
    secret = Secret.parse({"env": "PASSWORD"})

    assert secret.reveal({"PASSWORD": "hunter2"}) == "hunter2"
    assert secret == secret.within(Path("/elsewhere"))


def test_a_secret_shows_its_place_only() -> None:
    assert repr(Secret.parse({"env": "PASSWORD"})) == "Secret(env='PASSWORD')"


@pytest.mark.parametrize(
    "raw", ["hunter2", {"file": ""}, {"env": ""}, {"file": "a", "env": "b"}, {}, None, 5]
)
def test_what_is_no_place_of_a_secret_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="does not stand in the config"):
        Secret.parse(raw)
