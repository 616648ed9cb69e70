"""The report of a replay as one HTML file that asks nothing of any network."""
