"""The command `tg`: arguments in, one call of the library, text out."""
