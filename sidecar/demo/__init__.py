"""`sidecar demo`: the whole product on one machine, on an embedded broker and real data."""
