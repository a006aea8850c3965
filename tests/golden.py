"""Golden texts: what of a report is the same on every machine."""

from __future__ import annotations

import re


def but_for_rounding(text: str) -> str:
    """A report without its sentences on rounding and its line breaks.

    Those sentences are about this machine's floats, and other machines round otherwise.
    """
    text = " ".join(text.split())
    for sentence, instead in _SENTENCES:
        text = re.sub(sentence, instead, text)
    return text


_SENTENCES = (
    (r"In float\d+: .*?(?: ulp\)?| exact)\.", "In floats: ..."),
    (r"Nothing is wrong: where yours .*? rounding\.(?: (?:Yours|Autograd|Both) (?:is|are) .*?(?:\)|inputs)\.)+ ?", ""),
    (r"In floats: \.\.\. The inputs do not determine it better: .*? ulp\.", "In floats: ..."),
    (r" (?:Most|All|The largest parts) of yours \(.*?:(?: (?:line \d+:)?[^^]*?\^+)+(?: It rounds by .*? that\.)?", ""),
)
