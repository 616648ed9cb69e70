"""The one place that picks concrete parts and joins them."""
