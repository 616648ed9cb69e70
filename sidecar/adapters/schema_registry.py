"""The schema registry of Kafka, by Confluent's own client.

The client does HTTP; what it gives becomes readers, see `schema_avro` and `schema_protobuf`.
It and the codecs are the extra `registry`, so they are imported when a registry is configured.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from sidecar.adapters.extras import not_installed
from sidecar.config.settings import RegistrySettings
from sidecar.errors import Finding, RegistryUnavailableError, UserError
from sidecar.ports import PlainJson, Schema, SchemaId, UnknownSchema

MEND_EXTRA = "install this package with its extra: pip install 'sidecar[registry]'"
UNREACHABLE, REFUSED = "registry_unreachable", "registry_refused"
NOT_SET_UP = "registry_not_set_up"
"""Reasons of `RegistryUnavailableError`: no answer, no right, no secret or certificate."""

_PACKAGES = ("authlib", "cachetools", "confluent_kafka", "fastavro", "google.protobuf")
# The registry's own words for "no such subject, version or schema". A bare 404 is the answer of
# something else: a wrong path, a proxy.
_NOT_THERE = range(40400, 40500)
# Nor will this schema ever get another answer.
_SENSELESS = frozenset({400, 422})
_NUMBER_MAX = 2**31 - 1
_REFERENCES_MAX = 200
_CLOSE_S = 1.0

NewClient = Callable[[dict[str, Any]], Any]


class UnusableSchemaError(Exception):
    """The registry has the schema, and nothing can be read by it; the text says why."""


class SchemaRegistryClient:
    """A `SchemaRegistry` over HTTP. The client is built at the first question."""

    def __init__(
        self,
        settings: RegistrySettings,
        environ: Mapping[str, str],
        *,
        max_depth: int,
        new_client: NewClient | None = None,
    ) -> None:
        """Say which registry; nothing is connected yet.

        Args:
            settings: Address, credentials and time limit.
            environ: Where secrets are looked up.
            max_depth: Deepest nesting of a payload.
            new_client: Builds the client from its arguments; Confluent's when absent.

        Raises:
            UserError: The extra is not installed.
        """
        if missing := missing_packages():
            message = f"needs packages that are not installed: {', '.join(missing)}"
            finding = Finding("$.registry", message, MEND_EXTRA)
            raise UserError("the schema registry", [finding])
        self._settings = settings
        self._environ = environ
        self._max_depth = max_depth
        self._new_client = new_client or _confluent_client
        self._client: Any = None
        self._connecting = asyncio.Lock()

    async def schema(self, schema_id: SchemaId) -> Schema:
        """Ask for a schema and all that it refers to.

        Raises:
            RegistryUnavailableError: No answer, or a refusal; the next question connects anew,
                with the secrets as they are then.
        """
        if isinstance(schema_id, int) and schema_id > _NUMBER_MAX:
            return UnknownSchema("no registry has a number so large")
        done = False
        try:
            schema = await self._schema(schema_id)
            done = True
        except UnusableSchemaError as error:
            schema, done = UnknownSchema(str(error)), True
        finally:
            if not done:
                await self.close()
        return schema

    async def close(self) -> None:
        """Disconnect; raises nothing."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                async with asyncio.timeout(_CLOSE_S):
                    await client.aclose()

    async def _schema(self, schema_id: SchemaId) -> Schema:
        client = await self._connected()
        found = await _answer(_by_id(client, schema_id))
        try:
            return await self._reader(client, schema_id, found)
        finally:
            # The client keeps all that it ever saw; what is kept is our own business.
            await client.clear_caches()

    async def _reader(self, client: Any, schema_id: SchemaId, found: Any) -> Schema:
        text = _schema_text(found)
        match found.schema_type or "AVRO":
            case "JSON":
                return PlainJson()
            case "AVRO":
                references = await _references(client, found)
                make = import_module("sidecar.adapters.schema_avro").avro_reader
                return await _made(make, text, list(references.values()), self._max_depth)
            case "PROTOBUF":
                protobuf = import_module("sidecar.adapters.schema_protobuf")
                if not protobuf.is_serialized(text):
                    # Asked for once more, as the client gives what it has in its cache.
                    await client.clear_caches()
                    again = await _answer(_by_id(client, schema_id, fmt="serialized"))
                    text = _schema_text(again)
                references = await _references(client, found, fmt="serialized")
                return await _made(protobuf.protobuf_reader, text, references)
            case other:
                raise UnusableSchemaError(f"is of the type `{other}`, which is not read")

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._client is None:
                try:
                    # It reads files: the secret and those of TLS.
                    self._client = await asyncio.to_thread(self._connect)
                except (OSError, KeyError, ValueError) as error:
                    message = f"the client cannot be set up: {_text(error)}"
                    raise RegistryUnavailableError(NOT_SET_UP, message) from error
            return self._client

    def _connect(self) -> Any:
        settings = self._settings
        arguments: dict[str, Any] = {
            "url": settings.url,
            "timeout": settings.timeout.seconds,
            "max.retries": 0,  # whoever asks does so again, and says so
        }
        if settings.password is not None:
            secret = settings.password.reveal(self._environ)
            arguments["basic.auth.user.info"] = f"{settings.username}:{secret}"
        for name, path in (
            ("ssl.ca.location", settings.ca_file),
            ("ssl.certificate.location", settings.certificate_file),
            ("ssl.key.location", settings.key_file),
        ):
            if path is not None:
                path.open("rb").close()  # TLS itself would not say which of them is missing
                arguments[name] = str(path)
        return self._new_client(arguments)


async def registry_trouble(
    settings: RegistrySettings, environ: Mapping[str, str], timeout_s: float
) -> tuple[str, str] | None:
    """Ask a registry what the sidecar asks, for a schema that is not there.

    Args:
        settings: As the sidecar would use them.
        environ: Where secrets are looked up.
        timeout_s: Longest time for it.

    Returns:
        Reason and text of the trouble; None when the registry answers.

    Raises:
        UserError: The extra is not installed.
    """
    client = SchemaRegistryClient(settings, environ, max_depth=1)
    limit_s = min(timeout_s, settings.timeout.seconds)
    try:
        async with asyncio.timeout(limit_s):
            await client.schema(_NUMBER_MAX)
    except TimeoutError:
        return UNREACHABLE, f"no answer within {limit_s:g} s"
    except RegistryUnavailableError as error:
        return error.reason, str(error)
    finally:
        await client.close()
    return None


def missing_packages() -> list[str]:
    """Name the packages of the extra that are not installed."""
    return not_installed(_PACKAGES)


def _confluent_client(arguments: dict[str, Any]) -> Any:
    module = import_module("confluent_kafka.schema_registry.schema_registry_client")
    return module.AsyncSchemaRegistryClient.new_client(arguments)


def _by_id(client: Any, schema_id: SchemaId, fmt: str | None = None) -> Any:
    if isinstance(schema_id, int):
        return client.get_schema(schema_id, fmt=fmt)
    return client.get_schema_by_guid(schema_id, fmt=fmt)


async def _references(client: Any, schema: Any, fmt: str | None = None) -> dict[str, str]:
    """Give all schemas that one refers to, by the name in it; each behind what it refers to."""
    found: dict[str, str] = {}
    seen: set[str] = set()

    async def add(references: Any) -> None:
        for reference in references or ():
            if reference.name in seen:
                continue
            seen.add(reference.name)
            if len(seen) > _REFERENCES_MAX:
                raise UnusableSchemaError(f"refers to more than {_REFERENCES_MAX} others")
            call = client.get_version(reference.subject, reference.version, True, fmt)
            registered = await _answer(call)
            await add(registered.schema.references)
            found[reference.name] = _schema_text(registered.schema)

    await add(schema.references)
    return found


def _schema_text(schema: Any) -> str:
    text: str | None = getattr(schema, "schema_str", None)
    if text is None:
        message = "what answers is no schema registry: it gives no schema"
        raise RegistryUnavailableError(UNREACHABLE, message)
    return text


async def _made(make: Callable[..., Schema], *arguments: Any) -> Schema:
    """Build a reader off the event loop: a large schema takes milliseconds."""
    try:
        return await asyncio.to_thread(make, *arguments)
    except UnusableSchemaError:
        raise
    except Exception as error:  # a codec raises anything for a schema that is none
        name = type(error).__name__
        raise UnusableSchemaError(f"cannot be used: {name}: {str(error)[:200]}") from error


async def _answer(call: Any) -> Any:
    """Await an answer of the client.

    Raises:
        UnusableSchemaError: There is no such schema.
        RegistryUnavailableError: No answer, or a refusal.
    """
    errors = import_module("confluent_kafka.schema_registry.error")
    try:
        return await call
    except errors.SchemaRegistryError as error:
        status, said = error.http_status_code, str(error.error_message)[:200]
        if error.error_code in _NOT_THERE or status in _SENSELESS:
            raise UnusableSchemaError(f"the registry does not have it: {said}") from error
        reason = REFUSED if status in (401, 403) else UNREACHABLE
        message = f"the registry answers with status {status}: {said}"
        raise RegistryUnavailableError(reason, message) from error
    except Exception as error:  # of the HTTP library, of its answer's JSON
        raise RegistryUnavailableError(UNREACHABLE, _text(error)) from error


def _text(error: BaseException) -> str:
    """Say what happened, for people; the first cause has the words."""
    cause = error
    while not str(cause) and isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
    return f"{type(error).__name__}: {cause}" if str(cause) else type(error).__name__
