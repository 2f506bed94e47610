"""The process around the program: log, systemd, memory."""
