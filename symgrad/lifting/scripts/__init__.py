"""Pasted scripts: the code in them, one run of it, and the roles that its values play."""
