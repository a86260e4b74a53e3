"""Inspection: what is in a package file, as a page; what differs from another, and what the payload imports."""
