"""scikit-learn's clusterings, in the protocol and run folder of the methods."""
