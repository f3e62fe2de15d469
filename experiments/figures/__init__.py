"""The paper's figures, as pure functions of tables."""
