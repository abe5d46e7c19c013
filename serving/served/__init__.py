"""The log of served vectors: what models were answered, sampled, for the comparison with training."""
