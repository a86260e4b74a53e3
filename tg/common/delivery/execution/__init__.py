"""Executors: one protocol to run a package in this process, in a clean one, in a container here or on a server."""
