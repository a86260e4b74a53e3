"""Other systems that bring an object and its source elsewhere, and delivery, each as the same two functions.

    build(value, folder, tree)      keep the object in an empty folder; `tree` is the folder `tg`, and can be imported
    load(folder) -> value           get it back, in a process where `tree` cannot be imported

A module here imports its system at the top, so that the import can be timed apart.
"""
