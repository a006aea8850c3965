"""What proofs are made of: fractions in kernels, generic entries of tensors, equal steps."""
