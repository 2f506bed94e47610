"""Access control of the web server: TLS, users, cross-site checks, external URL."""
