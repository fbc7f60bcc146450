"""Clustering methods: each a LightningModule on `cmc.methods.base.Method`."""
