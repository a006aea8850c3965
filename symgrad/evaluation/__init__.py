"""A Program at a point, read in a number system: floats, balls, residues, SymPy; and written as torch code."""
