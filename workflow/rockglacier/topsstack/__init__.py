"""The engine ``isce2``: ISCE2's topsStack, a step at a time, under its names."""
