"""The verdicts: comparison at points, branches, witnesses, kinks, proofs, all sizes."""
