"""HTTP client: timed requests with a deadline and a size limit. Knows nothing of the cloud."""
