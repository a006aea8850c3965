"""Formulas in LaTeX, as papers and posts have them.

text -> `tokens` -> tree (`grammar`, from `names`, `scripts`, `functions`, `parts`, `choices`, `symbols`) -> `equations`
-> what each symbol is (`scopes`) -> SymPy (`meaning`, with `heads`, `values` and `sizes`) -> a formula that can be run
(`formula`), or several (`lists`); `plain` shows what was read.

The parser is our own.  Of those that exist, pylatexenc gives macros and groups but leaves scripts, primes and fences as
text, which is what a formula is made of; those that give SymPy (its own two, latex2sympy2_extended) read a formula that
they do not understand as another one: ``w_y(1-\\tanh x)`` as a call, ``exp(x)`` as a product, the index of a sum as a
variable.  A tool that says whether a formula is right must not guess what it is; so what has two common readings is
an error here, with its place, and what was read can be seen in plain form.
"""
