"""A run's method on its backbone."""

import torch

from tfew_pl.adaptation_file import backbone_digest, load_into
from tfew_pl.backbones import Backbone
from tfew_pl.encoding import collate
from tfew_pl.method import Adaptation
from tfew_pl.module import loss_function
from tfew_pl.preparation import PreparedRun
from tfew_pl.registry import get_method
from tfew_pl.resolve import initial_adaptation
from tfew_pl.setting import Setting


def attach(run: PreparedRun, backbone: Backbone, slots: int = 1) -> Adaptation:
    """The run's method on its backbone, with the run's own start in slot 0.

    Raises:
        UserError: the method or its initial adaptation does not fit; the backbone is as it was.
    """
    spec, draws = run.spec, run.draws
    setting = Setting(
        tokenizer=backbone.tokenizer,
        batches=lambda: (collate([example]) for example in draws.each_once()) if draws is not None else iter(()),
        loss=loss_function(backbone.model, spec.recipe),
    )
    generator = torch.Generator().manual_seed(spec.seed)
    method = get_method(spec.method, spec.options)
    adaptation = method.attach(backbone.model, slots=slots, generator=generator, setting=setting)
    path = initial_adaptation(spec)
    if path is not None:
        try:
            load_into(adaptation, path, spec.method, backbone_digest(backbone.model))
        except BaseException:  # the backbone stays in use
            adaptation.detach()
            raise
    return adaptation
