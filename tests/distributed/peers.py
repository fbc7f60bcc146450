"""The methods that CMC's own are compared with, as small as they can be, for several processes."""

from functools import partial

from cmc.methods import CVCL, DIVIDE, MVCAN, RML, SEM, AutoEncoderKMeans, Completer, CoMVC, DeepEmbedded, GCFAgg, SiMVC

TARGETS = ("own", "rotating", "common")


def peer(case, dims, optimizer, batch_size):
    """Of three clusters, with every phase."""
    small = {} if case == "rml" else {"hidden": [8], "latent_dim": 6}
    kmeans = {"kmeans_restarts": 3}
    taught = {**kmeans, "refresh_every": 2}
    kinds = {
        "autoencoder": (AutoEncoderKMeans, ("reconstruct",), kmeans),
        "simvc": (SiMVC, ("train",), {"head_dim": 5}),
        "comvc": (CoMVC, ("train",), {"head_dim": 5}),
        "comvc-sampled": (partial(CoMVC, negatives="sampled"), ("train",), {"head_dim": 5}),
        "completer": (Completer, ("contrast", "predict"), {**kmeans, "predictor": [5]}),
        "cvcl": (CVCL, ("reconstruct", "contrast"), {"head_dim": 5}),
        "rml": (RML, ("train",), {**kmeans, "token_dim": 6, "attention_hidden": 5}),
        "sem": (SEM, ("reconstruct", "contrast"), {**kmeans, "feature_dim": 4, "refresh_every": 2}),
        **{target: (partial(DeepEmbedded, target=target), ("reconstruct", "embed"), taught) for target in TARGETS},
        "divide": (DIVIDE, ("contrast", "walk"), {**kmeans, "hidden": [8, 7], "predictor": [5]}),
        "gcfagg": (GCFAgg, ("reconstruct", "contrast"), {**kmeans, "feature_dim": 4, "attention_hidden": 5}),
        "mvcan": (MVCAN, ("reconstruct", "learn"), taught),
    }
    kind, phases, settings = kinds[case]
    schedule = {phase: {"epochs": 3} for phase in phases}
    return kind(dims, 3, schedule, optimizer, batch_size=batch_size, drop_last=True, **{**small, **settings})
