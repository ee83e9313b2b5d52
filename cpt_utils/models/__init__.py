"""Chat models: loaded, talked to, tuned by adapters, and asked how likely a text is."""
