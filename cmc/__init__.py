"""Deep cross-modal clustering: images with their texts, or any two or more descriptions of the same things."""
