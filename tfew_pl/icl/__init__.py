"""In-context learning: few-shot examples stand in the input, nothing is trained (Brown et al. 2020)."""

from tfew_pl.icl.cached import CachedContexts
from tfew_pl.icl.calibration import CONTENT_FREE, Probes, calibrate
from tfew_pl.icl.encoding import ContextEncoder

__all__ = ["CONTENT_FREE", "CachedContexts", "ContextEncoder", "Probes", "calibrate"]
