"""Raw distributions: what their files hold, and how samples and features are taken from them.

``distribution`` is the container, ``records`` reads number files block by block, ``lear`` opens one packing that three
data sets share, ``selection`` chooses a clustering subset, ``extraction`` says how samples become vectors, and
``making`` writes the feature folder that ``feature_store`` reads.
"""
