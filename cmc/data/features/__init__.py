"""Raw images and texts turned into vectors: histograms and TF-IDF, or any model of the `transformers` library."""
