"""Parameter-efficient few-shot learning: T-Few, (IA)3 and rank classification in PyTorch Lightning."""

__version__ = "0.1.0"
