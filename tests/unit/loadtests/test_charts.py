from xml.etree import ElementTree

import pytest

from loadtests.charts import Bar, Series, bars, curves

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - written a moment ago


def test_a_bar_is_as_long_as_its_value() -> None:
    picture = parsed(bars("cost", [Bar("a", 2.0, "2"), Bar("b", 8.0, "8")]))

    widths = [float(each.get("width", "0")) for each in picture.iter(f"{SVG}rect")]

    assert widths[1] == pytest.approx(4 * widths[0])
    assert [each.text for each in picture.iter(f"{SVG}text")] == ["cost", "a", "2", "b", "8"]


def test_an_aim_is_marked_where_the_bar_would_end() -> None:
    picture = parsed(bars("r", [Bar("a", 1.0, "1", aim=0.8)]))

    rect, mark = picture.find(f"{SVG}rect"), picture.find(f"{SVG}line")

    assert rect is not None
    assert mark is not None
    begin, width = float(rect.get("x", "0")), float(rect.get("width", "0"))
    assert float(mark.get("x1", "0")) == pytest.approx(begin + 0.8 * width, abs=0.1)


def test_names_are_escaped() -> None:
    assert "a &lt; b" in bars("t", [Bar("a < b", 1.0, "1")])


def test_equal_ratios_are_equally_far_apart_on_a_logarithmic_axis() -> None:
    line = Series("cpu", [(16, 1.0), (64, 2.0), (256, 4.0)])

    picture = parsed(curves("t", "features", "µs", [line]))

    path = next(each for each in picture.iter(f"{SVG}path"))
    xs = [float(point.split()[0]) for point in path.get("d", "")[1:].split("L")]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)


def test_a_single_value_can_be_drawn() -> None:
    one = Series("one", [(4.0, 0.0)])

    assert "<path" in curves("t", "x", "y", [one])


def test_a_line_that_grows_evenly_is_straight_on_a_plain_axis() -> None:
    line = Series("cpu", [(16, 8.0), (64, 32.0), (256, 128.0)])

    picture = parsed(curves("t", "features", "µs", [line], across_log=False))

    path = next(each for each in picture.iter(f"{SVG}path"))
    (x0, y0), (x1, y1), (x2, y2) = (
        map(float, point.split()) for point in path.get("d", "")[1:].split("L")
    )
    assert (y1 - y0) / (x1 - x0) == pytest.approx((y2 - y1) / (x2 - x1), rel=0.02)
    assert [each.text for each in picture.iter(f"{SVG}text")].count("256") == 1
