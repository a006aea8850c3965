"""Cross-entropy of two rows in single precision: right; the last bits differ from autograd's, as they may."""

import torch

wrt = ("logits",)
at = {"logits": [[2.0, -1.0, 0.3], [0.1, 0.7, -2.2]], "labels": [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]}
dtype = "float32"
wrong = set()


def model(logits, labels):
    return -(labels * torch.log_softmax(logits, 1)).sum(1).mean()


def hand(logits, labels):
    e = torch.exp(logits)
    p = e / e.sum(1, keepdim=True)
    dlogits = (p - labels) / logits.shape[0]
    return {"logits": dlogits}


fixed = hand
