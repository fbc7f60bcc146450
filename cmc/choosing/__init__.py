"""How many clusters: what is asked for, what is measured at each K, the rule, and what is written."""
