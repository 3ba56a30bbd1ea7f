"""What is minimised: the loss of what is studied, and of what is rehearsed how far it has moved."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy, kl_div


def loss_of(scores: torch.Tensor, labels: torch.Tensor, before: torch.Tensor | None) -> torch.Tensor:
    """Summed over the places that are learnt, of which those that are rehearsed come last.

    Of what is studied it is the cross entropy of `labels` (learnt) under `scores` (learnt, vocabulary); of what is
    rehearsed the Kullback-Leibler divergence of the scores from `before` (rehearsed, vocabulary), the log-probabilities
    of the model without the adapter.
    """
    studied = len(labels) - (0 if before is None else len(before))
    loss = cross_entropy(scores[:studied].float(), labels[:studied], reduction="sum")
    if before is None:
        return loss
    return loss + kl_div(scores[studied:].float().log_softmax(-1), before, log_target=True, reduction="sum")
