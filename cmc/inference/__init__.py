"""A finished run put to use: its model, samples for it, assignments and scores."""
