"""What people open: the status pages."""
