"""`python -m tg.common.cli`, which is `tg`."""

from .command import main

if __name__ == "__main__":
    raise SystemExit(main())
