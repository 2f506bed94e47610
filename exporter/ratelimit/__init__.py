"""The rate limit of each project: who may send a request, and when."""
