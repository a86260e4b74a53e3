"""Delivery: an object and the source it was written with, made to run anywhere.

The rooms, from the ground up; each imports only from those before it:

- `runtime`: what runs inside a delivered package: names, unpickling, resources, entry point, versions, running
- `trust`: who made a package, and whether that is enough to run it here: keys, manifests, policies
- `environments`: what a package needs besides itself: locked, installed, in environments of its own
- `isolation`: a package loaded into a process of its own, used from this one
- `images`: images of packages: composed, pushed, loaded
- `delivery`: making packages and installing them; containering
- `inspection`: what is in a package file, as a page; what differs from another
- `execution`: running packages here, in clean processes, in containers, on servers
- `cluster`: packages at work on the workers of an engine that is there, Dask or Ray
- `serving`: packages behind HTTP, new versions taken in while they answer
"""
