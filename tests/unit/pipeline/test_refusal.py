"""Unit: pipeline.refusal. What decoders say of bytes is in test_decode."""

from msgspec import ValidationError

from sidecar.events import RejectCode
from sidecar.pipeline.refusal import refusal


def test_a_decoder_that_runs_out_of_stack_says_too_deep() -> None:
    error = RecursionError("maximum recursion depth exceeded")

    refused = refusal(error, b"[[", malformed=RejectCode.MALFORMED_JSON, root="$.data")

    assert (refused.code, refused.path) == (RejectCode.TOO_DEEP, "$.data")


def test_a_name_of_a_feature_may_look_like_a_part_of_the_message() -> None:
    error = ValidationError("Expected `int` >= 0 - at `$.features.a` b`")

    refused = refusal(error, b"", malformed=RejectCode.MALFORMED_JSON, limited={"a` b"})

    assert (refused.code, refused.path) == (RejectCode.OUT_OF_LIMITS, "$.features.a` b")
