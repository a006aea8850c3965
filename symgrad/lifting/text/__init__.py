"""Formulas and lists of steps typed as text: parsed, never evaluated."""
