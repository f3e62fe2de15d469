"""The embedded default: a generated world, held-out tasks, and a small T5 pre-trained on it in the paper's stages."""
