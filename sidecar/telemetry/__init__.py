"""The only place that knows the names of metrics and log events."""
