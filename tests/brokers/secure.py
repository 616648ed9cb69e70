"""A Kafka broker with TLS and SASL, and what clients need to get in."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.brokers.kafka import KafkaBroker, free_port

USER = "app"
PASSWORD = "app-secret"
STRANGER = "stranger"
"""May log in, and may do nothing."""

_SECURITY = "org.apache.kafka.common.security"
_OAUTH = f"{_SECURITY}.oauthbearer.internals.unsecured"


@dataclass(frozen=True)
class SecureBroker:
    """A broker with three doors; the third is plain text, for the test itself."""

    broker: KafkaBroker
    sasl: str
    """Address of SASL over TLS: SCRAM-SHA-512, PLAIN, OAUTHBEARER."""
    mutual_tls: str
    """Address of TLS that asks for the client's certificate."""
    ca: Path
    other_ca: Path
    """An authority that did not sign the broker's certificate."""
    certificate: Path
    key: Path

    def allow(
        self,
        operation: AclOperation,
        *names: str,
        kind: ResourceType = ResourceType.TOPIC,
        pattern: ResourcePatternType = ResourcePatternType.LITERAL,
    ) -> None:
        """Give the stranger a right."""
        self.broker.add_rights(
            [AclBinding(*_right(kind, name, pattern, operation)) for name in names]
        )

    def withdraw(self, operation: AclOperation, topic: str) -> None:
        """Take a right away from the stranger."""
        right = _right(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, operation)
        self.broker.take_rights(AclBindingFilter(*right))

    def withdraw_all(self) -> None:
        """Take each right away from the stranger."""
        user = f"User:{STRANGER}"
        each: Any = None  # which the client takes, and its stubs do not know
        kind, pattern = ResourceType.ANY, ResourcePatternType.ANY
        operation, permission = AclOperation.ANY, AclPermissionType.ANY
        every = AclBindingFilter(kind, each, pattern, user, each, operation, permission)
        self.broker.take_rights(every)


_Right = tuple[
    ResourceType, str, ResourcePatternType, str, str, AclOperation, AclPermissionType
]


def _right(
    kind: ResourceType, name: str, pattern: ResourcePatternType, operation: AclOperation
) -> _Right:
    user = f"User:{STRANGER}"
    return kind, name, pattern, user, "*", operation, AclPermissionType.ALLOW


def secure_broker(folder: Path) -> SecureBroker:
    """Make a broker with its certificates and users; it is not started yet."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    client = authority.issue_cert(f"{USER}@example.org", common_name=USER)
    chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
    (folder / "broker.pem").write_bytes(_pkcs8(server.private_key_pem.bytes()) + chain)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other-ca.pem"))
    client.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))
    client.private_key_pem.write_to_path(str(folder / "client.key"))
    ports = {"SASL_SSL": free_port(), "SSL": free_port()}
    broker = KafkaBroker(
        folder / "broker",
        listeners={name: (name, port) for name, port in ports.items()},
        properties=_properties(folder),
        format_arguments=("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"),
    )
    return SecureBroker(
        broker=broker,
        sasl=f"127.0.0.1:{ports['SASL_SSL']}",
        mutual_tls=f"127.0.0.1:{ports['SSL']}",
        ca=folder / "ca.pem",
        other_ca=folder / "other-ca.pem",
        certificate=folder / "client.pem",
        key=folder / "client.key",
    )


def _properties(folder: Path) -> dict[str, str]:
    sasl = "listener.name.sasl_ssl"
    return {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN,OAUTHBEARER",
        f"{sasl}.scram-sha-512.sasl.jaas.config": (
            f"{_SECURITY}.scram.ScramLoginModule required;"
        ),
        f"{sasl}.plain.sasl.jaas.config": (
            f"{_SECURITY}.plain.PlainLoginModule required"
            f' user_{USER}="{PASSWORD}" user_{STRANGER}="{PASSWORD}";'
        ),
        f"{sasl}.oauthbearer.sasl.jaas.config": (
            f"{_SECURITY}.oauthbearer.OAuthBearerLoginModule required"
            f' unsecuredLoginStringClaim_sub="{USER}";'
        ),
        f"{sasl}.oauthbearer.sasl.server.callback.handler.class": (
            f"{_OAUTH}.OAuthBearerUnsecuredValidatorCallbackHandler"
        ),
        "listener.name.ssl.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        # By its certificate the client is CN=app; without the rule it would be the whole name.
        "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # ANONYMOUS is the broker to itself, and the test that administrates it.
        "super.users": f"User:{USER};User:ANONYMOUS",
    }


def _pkcs8(pem: bytes) -> bytes:
    """Rewrite a private key in the only form that Kafka reads."""
    key = load_pem_private_key(pem, None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def unsecured_token(subject: str, *, issued_s: int, lifetime_s: int = 3600) -> str:
    """Make a token that says who somebody is and is not signed: only for tests."""
    claims = {"sub": subject, "iat": issued_s, "exp": issued_s + lifetime_s}
    parts = ({"alg": "none"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join(part.rstrip("=") for part in encoded) + "."
