"""One module per outside thing; each hides one client library."""
