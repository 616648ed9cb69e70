"""Repo: the committed AsyncAPI document is the generated one, and others can read it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from sidecar.pipeline.asyncapi import asyncapi, asyncapi_text
from sidecar.pipeline.encode import ERROR_PREFIX
from sidecar.pipeline.formats import MARKS
from sidecar.pipeline.schemas import DeadLetterHeaders, schema
from tests.asyncapi.parser import CannotParseError, Diagnostic, diagnostics
from tests.event_samples import AMOUNT, COUNTRY, decoder, encoded, records

FILE = Path(__file__).parents[2] / "schemas" / "asyncapi.yaml"
DOCUMENT = asyncapi()
MESSAGES: Mapping[str, dict[str, Any]] = DOCUMENT["components"]["messages"]
SCHEMAS: Mapping[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]


def test_the_committed_document_is_the_generated_one() -> None:
    assert FILE.read_text() == asyncapi_text(), "run `make docs`"
    assert yaml.safe_load(FILE.read_text()) == DOCUMENT


# --- the parser of the AsyncAPI initiative ---------------------------------------------------


def parsed(document: Path) -> list[Diagnostic]:
    try:
        return diagnostics(document)
    except CannotParseError as reason:
        pytest.skip(str(reason))


@pytest.mark.node
@pytest.mark.timeout(240)
def test_the_parser_of_asyncapi_has_no_complaint() -> None:
    assert parsed(FILE) == []


def _action_that_is_none(document: dict[str, Any]) -> None:
    document["operations"]["receiveEvents"]["action"] = "read"


def _reference_to_nothing(document: dict[str, Any]) -> None:
    document["components"]["messages"]["decision"]["payload"]["$ref"] += "s"


def _unknown_binding(document: dict[str, Any]) -> None:
    document["channels"]["events"]["bindings"]["kafka"]["subject"] = "x"


def _schema_that_is_none(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["Decision"]["type"] = "thing"


@pytest.mark.node
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("breaks", "path"),
    [
        (_action_that_is_none, "operations.receiveEvents.action"),
        (_reference_to_nothing, "components.messages.decision.payload.$ref"),
        (_unknown_binding, "channels.events.bindings.kafka"),
        (_schema_that_is_none, "components.schemas.Decision.type"),
    ],
)
def test_the_parser_refuses_a_broken_document(
    breaks: Callable[[dict[str, Any]], None], path: str, tmp_path: Path
) -> None:
    document, broken = asyncapi(), tmp_path / "asyncapi.yaml"
    breaks(document)
    broken.write_text(yaml.safe_dump(document))

    assert path in [found.path for found in parsed(broken)]


# --- what it says ----------------------------------------------------------------------------


def valid(reference: Mapping[str, str], value: object) -> bool:
    """Whether a value keeps to a schema of the document, in the dialect of AsyncAPI."""
    return Draft7Validator({**reference, "components": {"schemas": SCHEMAS}}).is_valid(value)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_of_the_dialect_of_asyncapi(name: str) -> None:
    Draft7Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", [name for name in MESSAGES if "examples" in MESSAGES[name]])
def test_examples_keep_to_their_schemas(name: str) -> None:
    message = MESSAGES[name]
    traits = [DOCUMENT["components"]["messageTraits"]["cloudEvent"]] * ("traits" in message)

    for example in message["examples"]:
        assert valid(message["payload"], example["payload"])
        assert not valid(message["payload"], {**example["payload"], **_wrong(example)})
        for trait in traits:
            assert valid(trait["headers"], example["headers"])
            assert not valid(trait["headers"], {**example["headers"], "ce_id": ""})


def _wrong(example: Mapping[str, Any]) -> dict[str, None]:
    return {next(iter(example["payload"])): None}


@pytest.mark.parametrize(
    "name", ["event", "eventCloudEventBinary", "eventCloudEventStructured"]
)
def test_an_example_of_an_event_is_decoded(name: str) -> None:
    message = MESSAGES[name]
    (example,) = message["examples"]
    said = {"content-type": message["contentType"], **example.get("headers", {})}
    headers = [(header, text.encode()) for header, text in said.items()]

    decoded = decoder(AMOUNT, COUNTRY).decode(
        records(encoded(example["payload"]), headers=[headers])
    )

    assert decoded.rejections == []
    assert decoded.events.ids == ["a-17"]


def test_the_sidecar_receives_events_and_sends_the_rest() -> None:
    said = {
        name: (each["action"], each["channel"]["$ref"])
        for name, each in DOCUMENT["operations"].items()
    }

    assert said == {
        "receiveEvents": ("receive", "#/channels/events"),
        "sendDecisions": ("send", "#/channels/decisions"),
        "sendDeadLetters": ("send", "#/channels/deadLetters"),
        "sendSignals": ("send", "#/channels/signals"),
    }


@pytest.mark.parametrize(
    ("component", "name"),
    [("Decision", "decision"), ("PredictionEvent", "prediction-event"), ("Signal", "signal")],
)
def test_a_record_has_the_same_fields_as_in_its_own_schema(component: str, name: str) -> None:
    assert SCHEMAS[component]["properties"].keys() == schema(name)["properties"].keys()
    assert SCHEMAS[component]["required"] == schema(name)["required"]


def test_headers_are_those_that_are_read_and_written() -> None:
    letters = {f"{ERROR_PREFIX}{field}" for field in DeadLetterHeaders.__struct_fields__}

    assert SCHEMAS["DeadLetterHeaders"]["properties"].keys() == letters
    assert set(SCHEMAS["CloudEventHeaders"]["required"]) == MARKS
