"""Somebody else's components; nothing in gnnseg knows of them."""
