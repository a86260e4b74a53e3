"""Images: a built package and what it needs become a container image, which engines and registries take."""
