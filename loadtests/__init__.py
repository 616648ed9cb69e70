"""Load tests: what the sidecar costs on a real Kafka, beside loops that do less."""
