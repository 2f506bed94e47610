"""What Prometheus sees: every metric's name, its value now, and the text it is told in."""
