"""The four ways to log in."""
