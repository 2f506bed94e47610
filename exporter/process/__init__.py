"""Process-level concerns: logging, systemd and memory."""
