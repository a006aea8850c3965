"""Knowledge distillation: loss T^2 KL; the gradient keeps T^2 but forgets that softmax has z/T."""

import torch

wrt = ("zs",)
at = {"zs": [0.5, -1.0, 2.0], "zt": [1.5, 0.2, 0.7], "y": [1.0, 0.0, 0.0], "T": 3.0, "a": 0.3}
wrong = {"zs"}
faulty = ("d_soft",)


def model(zs, zt, y, T, a):
    pt = torch.softmax(zt / T, 0)
    kd = T**2 * (pt * (torch.log(pt) - torch.log_softmax(zs / T, 0))).sum()
    ce = -(y * torch.log_softmax(zs, 0)).sum()
    return a * ce + (1 - a) * kd


def hand(zs, zt, y, T, a):
    def softmax(v):
        return torch.exp(v) / torch.exp(v).sum()

    d_hard = softmax(zs) - y
    d_soft = T**2 * (softmax(zs / T) - softmax(zt / T))
    d_zs = a * d_hard + (1 - a) * d_soft
    return {"zs": d_zs}


def fixed(zs, zt, y, T, a):
    def softmax(v):
        return torch.exp(v) / torch.exp(v).sum()

    d_hard = softmax(zs) - y
    d_soft = T * (softmax(zs / T) - softmax(zt / T))
    d_zs = a * d_hard + (1 - a) * d_soft
    return {"zs": d_zs}
