"""HTTP: one request on the wire, timed and bounded, with no knowledge of the cloud."""
