"""How far floats may be from the truth, and which line an error comes from."""
