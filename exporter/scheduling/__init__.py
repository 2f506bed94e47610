"""When each target is probed."""
