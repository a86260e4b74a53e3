"""Where delivery keeps its files: computed when asked for, never created by asking.

`TG_HOME` names the folder; without it, `~/.local/share/tg` (`XDG_DATA_HOME` is honoured, XDG Base Directory
Specification 0.8). All but `keys`, `trust`, `runs` and `server` can be deleted: packages are made again, the store is filled
again. Without `runs`, results are gone; without `server`, what is live; without `trust`, packages that were made here are so no
longer, and an older one is not told from a newer.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Loc", "Locations"]


class Locations:
    """The folders of delivery. Each is read from the environment at the moment it is asked for."""

    @property
    def home(self) -> Path:
        """The folder that holds the others. Raises `RuntimeError` when there is nothing to tell where it is."""
        named = os.environ.get("TG_HOME")
        if named:
            return Path(named).expanduser().absolute()
        data = os.environ.get("XDG_DATA_HOME")
        if data and os.path.isabs(data):  # the specification: a relative path is ignored
            return Path(data) / "tg"
        try:
            return Path.home() / ".local" / "share" / "tg"
        except RuntimeError as error:  # HOME is not set, and the system's list of users does not tell either
            raise RuntimeError(
                "nobody knows your home folder: HOME is not set. Set TG_HOME to a folder for packages."
            ) from error

    @property
    def packages(self) -> Path:
        """Where `make_package` puts a package when no destination is named."""
        return self.home / "packages"

    @property
    def store(self) -> Path:
        """Where installed packages lie, one folder for each content."""
        return self.home / "store"

    @property
    def cache(self) -> Path:
        """What was found out about source files that have not changed since."""
        return self.home / "cache"

    @property
    def images(self) -> Path:
        """Base images and layers that images are composed of."""
        return self.home / "images"

    @property
    def locks(self) -> Path:
        """What requirements resolved to, one file for each set of them and each target."""
        return self.home / "locks"

    @property
    def environments(self) -> Path:
        """Virtual environments for runs, one folder for each set of requirements."""
        return self.home / "environments"

    @property
    def runs(self) -> Path:
        """Runs in processes of their own, one folder for each: log, result and working folder."""
        return self.home / "runs"

    @property
    def cluster(self) -> Path:
        """On a node of a cluster: deliveries of drivers, and packages on their way into the store."""
        return self.home / "cluster"

    @property
    def server(self) -> Path:
        """What a server keeps: what is live, and its packages."""
        return self.home / "server"

    @property
    def trust(self) -> Path:
        """What tells whom to trust: the policy, what was made here, and what was accepted last."""
        return self.home / "trust"

    @property
    def keys(self) -> Path:
        """Keys to sign with, where no other place is named."""
        return self.home / "keys"


Loc = Locations()
