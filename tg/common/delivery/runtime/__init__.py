"""The ground: all that runs inside a delivered package. Standard library alone; nothing here builds anything."""
