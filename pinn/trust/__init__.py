"""How far a result can be trusted: likelihood, disagreement, consistency, and one sentence."""
