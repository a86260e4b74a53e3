"""Serving: packages behind HTTP, by a server that takes new versions while it answers. Needs the extra `serve`."""
