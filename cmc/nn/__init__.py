"""The networks that methods are built from, and the precision that they compute in."""
