"""Latency and CPU under an open load: events come when they are due, whoever is late."""
