"""Streaming inference sidecar and monitor."""

__version__ = "0.1.0"
