"""The dashboards of `deploy/monitoring`, as code: what they show, and what it is held against.

    python -m tools.dashboards

writes one JSON file for each into `deploy/monitoring/dashboards`. Numbers that a panel draws a
line at are read from the alerts, so that a dashboard and a page in the night say the same.
"""
