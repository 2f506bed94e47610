"""From one target to one result, a module a stage."""
