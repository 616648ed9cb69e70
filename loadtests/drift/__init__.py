"""Drift monitoring: what it costs beside other tools, and how often and how soon it speaks."""
