"""The command `tg`: arguments in, one call of the library, text out. It starts quickly: a verb is imported when it is named."""
