"""Environments: what a package needs besides itself, resolved to a lock and installed by uv. Knows no packages and no images."""
