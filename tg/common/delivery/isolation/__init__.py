"""Isolation: a package is loaded into a process of its own, with its own dependencies, and used from this one."""
