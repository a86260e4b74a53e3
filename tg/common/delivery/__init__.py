"""Delivery: an object and the source it was written with, made to run anywhere.

The rooms, from the ground up; each imports only from those before it:

- `runtime`: what runs inside a delivered package: names, unpickling, resources, entry point, versions, running
- `delivery`: making packages and installing them
"""
