"""Formulas in LaTeX, as papers and posts have them.

text -> `tokens` -> tree (`nodes`) -> `equations` -> what each symbol is (`resolution`) -> SymPy (`semantics`, with
`tensor_values`) -> a formula that can be run, or several (`latex_formula`); `plain_form` shows what was read.

The tree is read by functions that a `token_reader` is handed to: its tokens, the place in them, what is known of names.
`grammar` has sums, products, scripts and fences, and knows no macro: what a factor begins with is a row of the table in
`constructs`, which says how a macro reads its arguments and what node it makes.  The rows' readings are there, and in
`indicators`, `names`, `derivatives` and `folds`.

The parser is our own.  Of those that exist, pylatexenc gives macros and groups but leaves scripts, primes and fences as
text, which is what a formula is made of; those that give SymPy (its own two, latex2sympy2_extended) read a formula that
they do not understand as another one: ``w_y(1-\\tanh x)`` as a call, ``exp(x)`` as a product, the index of a sum as a
variable.  A tool that says whether a formula is right must not guess what it is; so what has two common readings is
an error here, with its place, and what was read can be seen in plain form.
"""
