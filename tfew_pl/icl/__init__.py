"""In-context learning: few-shot examples stand in the input, nothing is trained (Brown et al. 2020)."""

from tfew_pl.icl.cached import CachedContexts
from tfew_pl.icl.calibration import calibrate
from tfew_pl.icl.contexts import longest_input
from tfew_pl.icl.encoding import ContextEncoder

__all__ = ["CachedContexts", "ContextEncoder", "calibrate", "longest_input"]
