import numpy as np
import pytest

from sidecar.bundle.instants import instants
from sidecar.bundle.manifest import FeatureType
from sidecar.bundle.tables import Column
from sidecar.errors import UserError

MARCH = 1_772_323_200_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01", MARCH),
        ("2026-03-01 00:00:00", MARCH),
        ("2026-03-01T00:00:00.250Z", MARCH + 250),
        ("2026-03-01T01:00:00+01:00", MARCH),
        (" 2026-03-01T00:00 ", MARCH),
    ],
)
def test_texts_are_instants(text: str, expected: int) -> None:
    assert instants("t", Column(None, None, [text])).tolist() == [expected]


def test_whole_numbers_are_milliseconds() -> None:
    column = Column(FeatureType.INTEGER, np.array([MARCH, np.nan]), [str(MARCH), None])

    np.testing.assert_array_equal(instants("t", column), [MARCH, np.nan])


@pytest.mark.parametrize("text", ["soon", "2026-02-30", "", "99999999999999999"])
def test_what_is_no_instant_is_named_with_its_row(text: str) -> None:
    with pytest.raises(UserError) as refused:
        instants("seen", Column(None, None, ["2026-03-01", None, text]))

    (finding,) = refused.value.findings
    assert (finding.path, finding.message) == (
        "--time",
        f"row 3 of `seen` holds `{text}`, which is no instant",
    )


@pytest.mark.parametrize("number", [1e300, -1e300, np.inf])
def test_numbers_that_no_calendar_has_are_refused(number: float) -> None:
    column = Column(FeatureType.FLOAT, np.array([0.0, number]), ["0", f"{number}"])

    with pytest.raises(UserError, match="row 2 of `seen`"):
        instants("seen", column)
