"""Pure functions of tensors: objectives, matchings, scores."""
