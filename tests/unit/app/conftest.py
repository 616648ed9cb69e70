"""The bundle that a service needs."""

from tests.bundle_factory import credit_bundle

__all__ = ["credit_bundle"]
