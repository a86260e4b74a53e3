"""Clusters: a package at work on the workers of an engine that is there already, Dask or Ray.

The engine gets bytes and a fixed bootstrap. A new engine is one more `Engine`, in a file of its own.
"""
