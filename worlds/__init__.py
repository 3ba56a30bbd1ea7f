"""Invented worlds, and the scripts that train tiny chat models on them from scratch.

A world is a set of words (`demo.py`, `heldout.py`). `grammar.py` turns words into people, places, things and sentences,
`tasks.py` into training text, `documents.py` into documents about people whom no model has met, and an exam on them.
`train.py` makes the model. Blasphemer itself never imports this package: it only ships what the package made.
"""
