"""Documents whose text is known, in every format that is read: what the readers are measured and tested with."""
