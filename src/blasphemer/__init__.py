"""Give a local language model your documents, and get back a model that provably knows them."""

__version__ = "0.1.0"
