"""From probability to an inventory of objects."""
