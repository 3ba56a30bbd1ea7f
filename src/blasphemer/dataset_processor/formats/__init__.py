"""The reading room: one file in, its Documents and ready-made conversations out. One small reader per format.

files.named_files   which files there are, and what each is called
kinds.find_reader   which reader a file wants: by content first, by name where the content leaves it open
text, pdf, ...      the readers
"""
