"""Decide when each target is probed."""
