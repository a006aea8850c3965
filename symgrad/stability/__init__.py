"""Formulas that are right and still break in floats: where, and what to write instead.

`detection` judges one point, `search` looks for points, `rules` says what is written instead, and `rewriting` keeps
what is proved.
"""
