"""The object graph and its life: start, reload, drain."""
